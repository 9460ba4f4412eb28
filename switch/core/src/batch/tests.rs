use super::*;
use crate::details::find;
use crate::seal::DATA_KEY_BYTES;
use proptest::prelude::*;
use zeroize::Zeroizing;

const CANARY: &[u8] = b"9081726354433221";

fn key(byte: u8) -> DataKey {
    DataKey::new(Zeroizing::new([byte; DATA_KEY_BYTES])).expect("a key of the right length")
}

fn header(sealed_bytes: usize, count: u32) -> Header {
    Header {
        number: 3,
        count,
        sealed_bytes: u8::try_from(sealed_bytes).expect("small"),
        product: Text::new(b"VOUCHER10").expect("short"),
        name: Text::new(b"first").expect("short"),
        face_value: Minor(1_000),
        currency: 978,
        wrapped_key: [7; WRAPPED_KEY_BYTES],
        sealed_source: seal_source(&key(1), 3, &[9; SOURCE_DIGEST_BYTES]).expect("seals"),
    }
}

fn canary() -> Clear<'static> {
    Clear {
        serial: Text::new(b"V10-000001").expect("short"),
        expiry: Text::new(b"20281231").expect("short"),
        pin: CANARY,
        receipt: b"",
    }
}

#[test]
fn every_flipped_bit_of_a_header_is_noticed() {
    let header = header(40, 5);
    let bytes = header.encode();
    assert_eq!(Header::decode(&bytes), Ok(header));
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Header::decode(&flipped).is_err(), "bit {bit}");
    }
}

#[test]
fn a_header_of_another_version_says_so() {
    let mut bytes = header(40, 5).encode();
    bytes[8] = 9;
    let crc = crc32c::crc32c(&bytes[..HEADER_BYTES - CRC_BYTES]).to_le_bytes();
    bytes[HEADER_BYTES - CRC_BYTES..].copy_from_slice(&crc);
    assert_eq!(Header::decode(&bytes), Err(BatchError::Version(9)));
    assert_eq!(Header::decode(&[0; HEADER_BYTES]), Err(BatchError::Foreign));
}

#[test]
fn every_flipped_bit_and_every_wrong_place_of_a_record_is_noticed() {
    let header = header(sealed_bytes(CANARY.len(), 0), 5);
    let voucher = Sealer::new(&key(1), 3).seal(2, &canary()).expect("seals");
    let mut record = Vec::new();
    header.encode_record(&voucher, &mut record).expect("fits");
    assert_eq!(record.len(), header.record_bytes());
    assert_eq!(header.decode_record(2, &record), Ok(voucher));
    let damaged = |index| Err(BatchError::Record { number: 3, index });
    assert_eq!(header.decode_record(1, &record), damaged(1));
    assert_eq!(Header { number: 4, ..header.clone() }.decode_record(2, &record).ok(), None);
    for length in 0..record.len() {
        assert_eq!(header.decode_record(2, &record[..length]), damaged(2));
    }
    for bit in 0..record.len() * 8 {
        let mut flipped = record.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(header.decode_record(2, &flipped), damaged(2), "bit {bit}");
    }
}

#[test]
fn a_secret_opens_with_its_own_key_place_and_serial_only() {
    let voucher = Sealer::new(&key(1), 3).seal(2, &canary()).expect("seals");
    let mut out = Secret::new();
    open(&key(1), &voucher, &mut out).expect("opens");
    assert_eq!(find(out.expose(), Detail::Pin), Some(CANARY));
    assert_eq!(find(out.expose(), Detail::Receipt), None);
    let refused = Err(BatchError::Seal(SealError::DoesNotOpen));
    assert_eq!(open(&key(2), &voucher, &mut out), refused);
    let changes: [fn(&mut Voucher); 3] = [|v| v.index = 3, |v| v.batch = 4, |v| v.serial = Text::EMPTY];
    for change in changes {
        let mut changed = voucher;
        change(&mut changed);
        assert_eq!(open(&key(1), &changed, &mut out), refused);
    }
}

#[test]
fn the_sealed_form_says_how_it_is_opened() {
    let voucher = Sealer::new(&key(1), 3).seal(2, &canary()).expect("seals");
    let mut form = Vec::new();
    sealed_form(&voucher, &mut form);
    assert!(form.len() <= SEALED_FORM_BYTES_MAX);
    let (id, rest) = form.split_first_chunk::<4>().expect("a key id");
    let (nonce, sealed) = rest.split_first_chunk::<12>().expect("a nonce");
    assert_eq!(KeyId(u32::from_be_bytes(*id)), KeyId::stock(3));
    let mut out = Vec::new();
    key(1).open(Nonce(*nonce), b"V10-000001", sealed, &mut out).expect("opens");
    assert_eq!(find(&out, Detail::Pin), Some(CANARY));
}

#[test]
fn the_digest_of_the_source_is_known_to_the_key_alone() {
    let header = header(40, 5);
    assert_eq!(is_source(&key(1), &header, &[9; SOURCE_DIGEST_BYTES]), Ok(true));
    assert_eq!(is_source(&key(1), &header, &[8; SOURCE_DIGEST_BYTES]), Ok(false));
    assert!(is_source(&key(2), &header, &[9; SOURCE_DIGEST_BYTES]).is_err());
    assert!(!header.encode().windows(8).any(|window| window == [9; 8]));
}

#[test]
fn no_pin_is_printed() {
    let clear = canary();
    let key = key(1);
    let mut sealer = Sealer::new(&key, 3);
    let voucher = sealer.seal(0, &clear).expect("seals");
    let printed = format!("{clear:?} {sealer:?} {voucher:?}");
    let pin = str::from_utf8(CANARY).expect("digits");
    assert!(!printed.contains(pin) && printed.contains("***"), "{printed}");
    let long = Clear { receipt: &[b'R'; 200], ..clear };
    let error = sealer.seal(0, &long).expect_err("too long");
    assert!(!format!("{error} {error:?}").contains("RR"));
}

proptest! {
    #[test]
    fn a_voucher_survives_its_file(
        index in 0u32..1_000,
        serial in "[ -~]{0,30}",
        expires in any::<bool>(),
        pin in prop::collection::vec(any::<u8>(), 0..=PIN_BYTES_MAX),
        receipt in prop::collection::vec(any::<u8>(), 0..=SECRET_BYTES_MAX - PIN_BYTES_MAX),
        spare in 0usize..8,
    ) {
        let clear = Clear {
            serial: Text::new(serial.as_bytes()).expect("ASCII"),
            expiry: Text::new(if expires { b"20271231" } else { b"" }).expect("ASCII"),
            pin: &pin,
            receipt: &receipt,
        };
        let needed = sealed_bytes(pin.len(), receipt.len());
        let header = header((needed + spare).min(SEALED_BYTES_MAX), 1_000);
        let voucher = Sealer::new(&key(1), 3).seal(index, &clear).expect("fits");
        prop_assert_eq!(voucher.sealed().len(), needed);
        let mut record = b"before".to_vec();
        header.encode_record(&voucher, &mut record).expect("fits");
        let read = header.decode_record(index, &record[6..]).expect("whole");
        prop_assert_eq!(read, voucher);
        let mut out = Secret::new();
        open(&key(1), &read, &mut out).expect("opens");
        prop_assert_eq!(find(out.expose(), Detail::Pin), Some(&pin[..]));
        let found = find(out.expose(), Detail::Receipt).unwrap_or_default();
        prop_assert_eq!(found, &receipt[..]);
    }

    #[test]
    fn no_header_or_record_panics(
        bytes in prop::collection::vec(any::<u8>(), HEADER_BYTES),
        record in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut bytes: [u8; HEADER_BYTES] = bytes.try_into().expect("so many");
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..HEADER_BYTES - CRC_BYTES]).to_le_bytes();
        bytes[HEADER_BYTES - CRC_BYTES..].copy_from_slice(&crc);
        if let Ok(header) = Header::decode(&bytes) {
            prop_assert_eq!(Header::decode(&header.encode()), Ok(header));
        }
        prop_assert!(header(40, 5).decode_record(0, &record).is_err());
    }
}
