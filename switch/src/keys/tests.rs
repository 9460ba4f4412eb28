use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn kek(byte: u8) -> Kek {
    Kek::new(Zeroizing::new([byte; DATA_KEY_BYTES])).expect("a key of the right length")
}

#[test]
fn a_made_key_file_is_read_again_and_closed_to_others() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("keys").join("kek");
    let made = Kek::create_file(&file).expect("made");
    let read = Kek::from_file(&file).expect("read");
    assert_eq!(made.key.expose(), read.key.expose());
    assert_ne!(made.key.expose(), &[0; DATA_KEY_BYTES]);
    let mode = |path: &Path| std::fs::metadata(path).expect("there").mode() & 0o777;
    assert_eq!((mode(&file), mode(&folder.path().join("keys"))), (0o600, 0o700));
    assert!(matches!(Kek::create_file(&file), Err(KeyError::Exists { .. })));
    assert_eq!(std::fs::read_dir(folder.path().join("keys")).expect("a folder").count(), 1);
}

#[test]
fn an_exposed_missing_or_broken_key_file_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("kek");
    assert!(matches!(Kek::from_file(&file), Err(KeyError::Io { .. })));
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
    let file = folder.path().join("index.key");
    let made = IndexKey::open_or_create(&file, &kek(1)).expect("made");
    let read = IndexKey::open_or_create(&file, &kek(1)).expect("read");
    assert_eq!(made.expose(), read.expose());
    let stored = std::fs::read(&file).expect("there");
    assert!(!stored.windows(16).any(|window| window == made.expose()));
    assert!(matches!(IndexKey::open_or_create(&file, &kek(2)), Err(KeyError::WrongKek { .. })));
    assert_eq!(format!("{made:?} {:?}", kek(1)), "IndexKey(***) Kek(***)");
}
