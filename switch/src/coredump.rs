//! No core images: what a process has in its memory stays there (S-18).
//!
//! Owns the two switches that the system has for it. A limit of no bytes holds for core files. It does not hold where the system
//! pipes images to a collector, and says nothing of debuggers; so the process also says that it is not dumpable, after which
//! only root may trace it, read its memory or its environment. Deliberately absent: locking memory against being swapped out:
//! encrypt the swap, or have none.

use nix::errno::Errno;
use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, setrlimit};

/// Forbids core images of this process and of those that it starts, and tracing by others than root.
///
/// # Errors
/// The system's: nothing is known that makes it refuse.
pub fn forbid() -> Result<(), Errno> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    set_dumpable(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_a_core_file_nor_a_piped_image_is_made() {
        forbid().expect("the system takes it");
        assert_eq!(nix::sys::resource::getrlimit(Resource::RLIMIT_CORE), Ok((0, 0)));
        assert_eq!(nix::sys::prctl::get_dumpable(), Ok(false));
    }
}
