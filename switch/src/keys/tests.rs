use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn kek(byte: u8) -> Kek {
    Kek::new(Zeroizing::new([byte; DATA_KEY_BYTES]), Origin::Env("KEY".to_owned()))
        .expect("a key of the right length")
}

fn by() -> By {
    By { uid: 7, name: "ada".to_owned(), reason: "once a year".to_owned() }
}

#[test]
fn a_made_key_file_is_read_again_and_closed_to_others() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("keys").join("kek");
    let made = Kek::create_file(&file).expect("made");
    let read = Kek::from_file(&file).expect("read");
    assert_eq!(made.fingerprint(), read.fingerprint());
    assert_ne!(made.fingerprint(), kek(0).fingerprint());
    let mode = |path: &Path| std::fs::metadata(path).expect("there").mode() & 0o777;
    assert_eq!((mode(&file), mode(&folder.path().join("keys"))), (0o600, 0o700));
    assert!(matches!(Kek::create_file(&file), Err(KeyError::Exists { .. })));
    assert_eq!(std::fs::read_dir(folder.path().join("keys")).expect("a folder").count(), 1);
}

#[test]
fn an_exposed_missing_or_broken_key_file_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("kek");
    assert!(matches!(Kek::from_file(&file), Err(KeyError::Missing { .. })));
    Kek::create_file(&file).expect("made");
    std::fs::set_permissions(&file, Permissions::from_mode(0o640)).expect("own file");
    let error = Kek::from_file(&file).expect_err("others may read it");
    assert!(error.to_string().contains("chmod 600"), "{error}");
    std::fs::write(&file, "7f".repeat(31)).expect("own file");
    std::fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("own file");
    let error = Kek::from_file(&file).expect_err("too short");
    assert!(matches!(error, KeyError::Unreadable { .. }));
    assert!(!error.to_string().contains("7f7f"), "{error}");
    std::fs::write(&file, "7f".repeat(5000)).expect("own file");
    assert!(matches!(Kek::from_file(&file), Err(KeyError::Unreadable { .. })));
}

#[test]
fn keys_are_read_as_digits_or_base64() {
    let key: Vec<u8> = (0..32).map(|index| index * 8 + 1).collect();
    let hex = "0109111921293139414951596169717981899199a1a9b1b9c1c9d1d9e1e9f1f9";
    let base64 = "AQkRGSEpMTlBSVFZYWlxeYGJkZmhqbG5wcnR2eHp8fk=";
    for text in [hex, &hex.to_uppercase(), base64, base64.trim_end_matches('=')] {
        assert_eq!(parse_key(text.as_bytes()).expect("a key").as_slice(), key, "{text}");
    }
    let last_bit_set = "AQkRGSEpMTlBSVFZYWlxeYGJkZmhqbG5wcnR2eHp8fl=";
    for text in ["", "xyz", &hex[1..], &format!("{hex}00"), &hex.replace('a', "g"), last_bit_set] {
        assert!(parse_key(text.as_bytes()).is_none(), "{text}");
    }
    assert!(matches!(Kek::from_env("SWITCHYARD_TEST_NO_SUCH_KEY"), Err(KeyError::Unset { .. })));
}

#[test]
fn wrapped_keys_open_for_their_purpose_and_number_only() {
    let key = random_data_key().expect("random numbers");
    let wrapped = kek(1).wrap(&key, "journal", 7).expect("wrapped");
    let again = kek(1).wrap(&key, "journal", 7).expect("wrapped");
    assert_ne!(wrapped, again, "each wrapping has its own nonce");
    assert_eq!(kek(1).unwrap(&wrapped, "journal", 7).expect("opens").expose(), key.expose());
    assert!(kek(1).unwrap(&wrapped, "journal", 8).is_err());
    assert!(kek(1).unwrap(&wrapped, "stock", 7).is_err());
    let error = kek(2).unwrap(&wrapped, "journal", 7).expect_err("another key");
    assert!(error.to_string().contains("the key file that belongs to this data folder"), "{error}");
    for bit in 0..wrapped.len() * 8 {
        let mut flipped = wrapped;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(kek(1).unwrap(&flipped, "journal", 7).is_err(), "bit {bit}");
    }
}

#[test]
fn the_index_key_is_made_once_and_lies_wrapped() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path();
    let made = IndexKey::open_or_create(data, &kek(1)).expect("made");
    let read = IndexKey::open_or_create(data, &kek(1)).expect("read");
    assert_eq!(made.expose(), read.expose());
    let stored = std::fs::read(index_file(data)).expect("there");
    assert!(!stored.windows(16).any(|window| window == made.expose()));
    assert!(matches!(IndexKey::open_or_create(data, &kek(2)), Err(KeyError::WrongKek { .. })));
    assert_eq!(format!("{made:?} {:?}", kek(1)), format!("IndexKey(***) Kek({})", kek(1).fingerprint()));
}

/// A data folder with a key file, and something wrapped under each of its keys.
struct Place {
    folder: tempfile::TempDir,
    wrapped: Vec<(DataKey, [u8; WRAPPED_KEY_BYTES])>,
}

const NOW_MS: u64 = 1_764_000_000_000;

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut place = Place { folder, wrapped: Vec::new() };
        let kek = Kek::create_file(&place.file()).expect("made");
        IndexKey::open_or_create(place.data(), &kek).expect("made");
        place.wrap(&kek);
        place
    }

    fn data(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self) -> PathBuf {
        self.data().join("keys").join("kek")
    }

    fn settings(&self) -> KeySettings {
        KeySettings { file: self.file(), env: None, create: true }
    }

    fn open(&self) -> Result<Kek, KeyError> {
        Kek::open(&self.settings(), self.data())
    }

    fn wrap(&mut self, kek: &Kek) {
        let key = random_data_key().expect("random numbers");
        let wrapped = kek.wrap(&key, "journal", self.wrapped.len() as u32).expect("wrapped");
        self.wrapped.push((key, wrapped));
    }

    /// Whether the key opens everything that any key wrapped.
    fn assert_opens(&self, kek: &Kek) {
        for (id, (key, wrapped)) in (0u32..).zip(&self.wrapped) {
            assert_eq!(kek.unwrap(wrapped, "journal", id).expect("opens").expose(), key.expose());
        }
        IndexKey::open_or_create(self.data(), kek).expect("opens");
    }
}

#[test]
fn what_retired_keys_wrapped_opens_through_the_new_one() {
    let mut place = Place::new();
    let running = place.open().expect("opens");
    let mut names = vec![running.fingerprint()];
    for rotation in 1..=5 {
        let rotated = running.rotate(place.data(), &by(), NOW_MS + rotation).expect("rotated");
        assert_eq!((Some(&rotated.old), rotated.retired), (names.last(), names.len()));
        names.push(rotated.new);
        assert_eq!(running.fingerprint(), rotated.new, "the running process uses the new key");
        place.wrap(&running);
        place.assert_opens(&running);
        let next = place.open().expect("a start finds the new key");
        assert_eq!(next.fingerprint(), rotated.new);
        place.assert_opens(&next);
    }
    let (keys, unopened) = keys_in_use(&running, place.data()).expect("shown");
    let shown: Vec<_> = keys.iter().map(|key| key.key).collect();
    assert_eq!(shown, names.iter().rev().copied().collect::<Vec<_>>(), "newest first");
    assert!(keys[0].until.is_none() && keys[1].until == Some(succession::when(NOW_MS + 5)), "{keys:?}");
    assert_eq!((unopened, keys[5].opens[2]), (0, ("index", 1)));
    let stored = std::fs::read(Succession::path(place.data())).expect("there");
    let digits = std::fs::read(place.file()).expect("there");
    assert!(!stored.windows(64).any(|window| window == digits.trim_ascii()), "no key lies in clear");
}

#[test]
fn a_key_that_is_not_the_folders_is_named_with_the_one_that_is() {
    let place = Place::new();
    let before = std::fs::read(place.file()).expect("there");
    let old = place.open().expect("opens").fingerprint();
    let rotated = place.open().expect("opens").rotate(place.data(), &by(), NOW_MS).expect("rotated");
    let after = std::fs::read(place.file()).expect("there");
    std::fs::write(place.file(), &before).expect("own file");
    let error = place.open().expect_err("retired");
    assert!(matches!(&error, KeyError::Retired { key, .. } if *key == old), "{error}");
    assert!(error.to_string().contains(&rotated.new.to_string()), "{error}");
    std::fs::write(place.file(), "7f".repeat(32)).expect("own file");
    let error = place.open().expect_err("never known here");
    assert!(matches!(error, KeyError::Stranger { .. }), "{error}");
    std::fs::remove_file(place.file()).expect("own file");
    assert!(matches!(place.open(), Err(KeyError::Missing { .. })), "no key is made where the folder had one");
    std::fs::write(place.file(), &after).expect("own file");
    std::fs::set_permissions(place.file(), Permissions::from_mode(0o600)).expect("own file");
    place.assert_opens(&place.open().expect("opens"));
    let path = Succession::path(place.data());
    let sound = std::fs::read_to_string(&path).expect("there");
    for damaged in
        [sound.replace("\"wrapped\": \"", "\"wrapped\": \"00"), sound.replace("version", "v"), "{".into()]
    {
        std::fs::write(&path, damaged).expect("own file");
        assert!(matches!(place.open(), Err(KeyError::Succession { .. })));
    }
}

#[test]
fn a_key_from_elsewhere_follows_the_old_one() {
    let place = Place::new();
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let old_file = elsewhere.path().join("old");
    std::fs::rename(place.file(), &old_file).expect("own file");
    let old = || Kek::from_file(&old_file).expect("the old key");
    let new = Kek::create_file(&place.file()).expect("the new key");
    let rotated = Kek::succeed(old(), &new, place.data(), &by(), NOW_MS).expect("followed");
    assert_eq!((rotated.new, rotated.retired), (new.fingerprint(), 1));
    place.assert_opens(&place.open().expect("opens"));
    let again = Kek::succeed(old(), &new, place.data(), &by(), NOW_MS).expect("done already");
    assert_eq!(again, rotated);
    assert!(matches!(
        Kek::succeed(old(), &old(), place.data(), &by(), NOW_MS),
        Err(KeyError::SameKey { .. })
    ));
    assert!(matches!(
        Kek::succeed(old(), &kek(3), place.data(), &by(), NOW_MS),
        Err(KeyError::Retired { .. })
    ));
    assert!(matches!(
        Kek::succeed(kek(4), &kek(3), place.data(), &by(), NOW_MS),
        Err(KeyError::Stranger { .. })
    ));
    let running =
        Kek::new(Zeroizing::new([9; DATA_KEY_BYTES]), Origin::Env("KEY".to_owned())).expect("a key");
    assert!(matches!(running.rotate(place.data(), &by(), NOW_MS), Err(KeyError::FromEnvironment { .. })));
}

#[test]
fn rotations_are_told_once_with_who_and_why() {
    let place = Place::new();
    let running = place.open().expect("opens");
    assert_eq!(running.rotations_since(place.data(), None).expect("nothing yet"), []);
    let rotated = [0, 1, 2].map(|at| running.rotate(place.data(), &by(), NOW_MS + at).expect("rotated"));
    let told = running.rotations_since(place.data(), None).expect("there");
    assert!(told.iter().all(|rotation| rotation.by.uid == 7 && rotation.reason.as_str() == "once a year"));
    let instructions: Vec<_> = told.iter().map(|rotation| rotation.instruction).collect();
    let expected: Vec<_> =
        (NOW_MS..).zip(&rotated).map(|(at_ms, rotated)| rotated.instruction(at_ms)).collect();
    assert_eq!(instructions, expected, "oldest first");
    for (known, rotated) in rotated.iter().enumerate() {
        let rest = running.rotations_since(place.data(), Some(rotated.new.0)).expect("there");
        assert_eq!(rest, told[known + 1..]);
    }
}

#[test]
fn a_wrong_key_is_never_made_the_one_to_follow() {
    let place = Place::new();
    std::fs::write(place.file(), "7f".repeat(32)).expect("own file");
    let error = place.open().expect("nothing is written down yet").rotate(place.data(), &by(), NOW_MS);
    assert!(matches!(error, Err(KeyError::WrongKek { .. })), "{error:?}");
    assert!(!Succession::path(place.data()).exists());
}

#[test]
fn a_start_strikes_out_what_an_interrupted_rotation_left() {
    let place = Place::new();
    let running = place.open().expect("opens");
    running.settle(place.data(), NOW_MS).expect("written down");
    let settled = std::fs::read(Succession::path(place.data())).expect("there");
    let next = WrappingKey::new(random_data_key().expect("random numbers"));
    let found = Succession::read(place.data()).expect("read").expect("there");
    let line = found.line(running.fingerprint(), "").expect("there").clone();
    let follower = line.followed_by(&running.chain.load(), &next, &by(), NOW_MS).expect("a line");
    std::fs::write(place.data().join("keys/kek.next"), "left over").expect("own file");
    Succession::write(place.data(), vec![line, follower]).expect("written");
    let started = place.open().expect("opens");
    place.assert_opens(&started);
    started.settle(place.data(), NOW_MS + 1).expect("written down");
    assert_eq!(std::fs::read(Succession::path(place.data())).expect("there"), settled);
    assert!(!place.data().join("keys/kek.next").exists());
}

#[test]
fn a_folder_takes_so_many_rotations_and_no_more() {
    let key = |byte| WrappingKey::new(DataKey::new(Zeroizing::new([byte; DATA_KEY_BYTES])).expect("a key"));
    let mut chain = Chain { current: Arc::new(key(0)), retired: Vec::new() };
    let mut line = succession::Line::first(chain.current.fingerprint, NOW_MS);
    let longest = By { uid: u32::MAX, name: "n".repeat(32), reason: "\"".repeat(120) };
    for rotation in 0..succession::RETIRED_MAX {
        let next = key((rotation % 251) as u8 + 1);
        line = line.followed_by(&chain, &next, &longest, NOW_MS).expect("another");
        chain.retired.insert(0, Arc::clone(&chain.current));
        chain.current = Arc::new(next);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    assert!(matches!(line.followed_by(&chain, &key(0), &by(), NOW_MS), Err(KeyError::TooMany { .. })));
    Succession::write(folder.path(), vec![line.clone(), line]).expect("written");
    let found = Succession::read(folder.path()).expect("two full lines are read").expect("there");
    let opened = found.line(chain.current.fingerprint, "").expect("there").open(chain.current, folder.path());
    assert_eq!(opened.map(|chain| chain.retired.len()).ok(), Some(succession::RETIRED_MAX));
}
