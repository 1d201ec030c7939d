use super::*;

/// Made by openssl: two common names, and an end after 2049, which has a time of the other form.
const WHOLE: &[u8] = include_bytes!("host-b.der");

#[test]
fn name_and_times_are_read() {
    let certificate = Certificate::parse(WHOLE).unwrap();
    assert_eq!(certificate.common_name, "host-b");
    assert_eq!((certificate.not_before, certificate.not_after), (1_795_893_501, 2_659_893_501));
}

#[test]
fn every_cut_and_every_changed_byte_is_survived() {
    for end in 0..WHOLE.len() {
        assert!(Certificate::parse(&WHOLE[..end]).is_err(), "{end}");
    }
    for at in 0..WHOLE.len() {
        for byte in [0, 0x7f, 0x80, 0x84, 0xff] {
            let mut changed = WHOLE.to_vec();
            changed[at] = byte;
            let _ = Certificate::parse(&changed);
        }
    }
}

#[test]
fn times() {
    let of = |tag, text: &str| time(&Item { tag, content: text.as_bytes() });
    assert_eq!(of(UTC_TIME, "700101000000Z"), Ok(0));
    assert_eq!(of(UTC_TIME, "240229120000Z"), Ok(1_709_208_000));
    assert_eq!(of(GENERALIZED_TIME, "20000301000001Z"), Ok(951_868_801));
    assert_eq!(of(GENERALIZED_TIME, "21000301000000Z"), Ok(4_107_542_400));
    for bad in ["", "Z", "2402291200Z", "240229120000", "24022912000xZ", "241329120000Z"] {
        assert!(of(UTC_TIME, bad).is_err(), "{bad}");
    }
}
