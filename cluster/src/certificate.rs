//! What this host's own certificate says: its name and when it ends.
//!
//! rustls does not tell the subject of a certificate. The few fields are read here, out of DER.

mod der;

use der::{Der, Item};

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;
/// `UTF8String`, `PrintableString`, `TeletexString` and `IA5String`.
const STRINGS: [u8; 4] = [0x0c, 0x13, 0x14, 0x16];
/// 2.5.4.3, the common name.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// The fields of a certificate. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// CN of the subject. Of several the last one counts, as for etcd.
    pub(crate) common_name: String,
    /// When it begins.
    pub(crate) not_before: i64,
    /// When it ends.
    pub(crate) not_after: i64,
}

impl Certificate {
    /// Reads a certificate in DER.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let mut outer = Der::new(bytes).expect_item(SEQUENCE)?.inside();
        let mut fields = outer.expect_item(SEQUENCE)?.inside();
        // Version 1 has no field for it; the serial number follows.
        if fields.next_item()?.tag == VERSION {
            fields.next_item()?;
        }
        // Algorithm and issuer.
        fields.expect_item(SEQUENCE)?;
        fields.expect_item(SEQUENCE)?;
        let mut validity = fields.expect_item(SEQUENCE)?.inside();
        let not_before = time(&validity.next_item()?)?;
        let not_after = time(&validity.next_item()?)?;
        let common_name = common_name(fields.expect_item(SEQUENCE)?.inside())?;
        Ok(Self { common_name, not_before, not_after })
    }
}

/// The last common name of a subject.
fn common_name(mut subject: Der<'_>) -> Result<String, &'static str> {
    let mut name = None;
    while !subject.is_empty() {
        let mut set = subject.expect_item(SET)?.inside();
        while !set.is_empty() {
            let mut pair = set.expect_item(SEQUENCE)?.inside();
            let object = pair.expect_item(OBJECT)?;
            let value = pair.next_item()?;
            if object.content == COMMON_NAME && STRINGS.contains(&value.tag) {
                name = Some(String::from_utf8_lossy(value.content).into_owned());
            }
        }
    }
    name.ok_or("has no CN")
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time(item: &Item<'_>) -> Result<i64, &'static str> {
    const WRONG: &str = "has a time that is none";
    let text = std::str::from_utf8(item.content).map_err(|_| WRONG)?;
    let digits = text.strip_suffix('Z').ok_or(WRONG)?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(WRONG);
    }
    let number = |range: std::ops::Range<usize>| -> Result<i64, &'static str> {
        digits.get(range).and_then(|part| part.parse().ok()).ok_or(WRONG)
    };
    let (year, at) = match (item.tag, digits.len()) {
        (UTC_TIME, 12) => {
            let year = number(0..2)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, 2)
        }
        (GENERALIZED_TIME, 14) => (number(0..4)?, 4),
        _ => return Err(WRONG),
    };
    let (month, day) = (number(at..at + 2)?, number(at + 2..at + 4)?);
    let (hour, minute) = (number(at + 4..at + 6)?, number(at + 6..at + 8)?);
    let second = number(at + 8..at + 10)?;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return Err(WRONG);
    }
    Ok(days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Days from 1970-01-01 to a date, in the Gregorian calendar. The year begins in March here, so that
/// the leap day is its last one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
        - 719_468
}

#[cfg(test)]
mod tests;
