//! Just enough SCTP to ask and to answer: an INIT and its INIT ACK (RFC 9260). Kernels without
//! SCTP sockets forward it all the same, so the packets are made by hand and sent through raw
//! sockets.

const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
/// Ports, verification tag and checksum; the first chunk begins behind them.
const HEADER: usize = 12;
/// Any but zero; one serves every association.
const TAG: [u8; 4] = *b"link";

/// The packet that opens an association.
pub(crate) fn init(from: u16, to: u16) -> Vec<u8> {
    packet(from, to, INIT)
}

/// The answer to `request`, if it is an INIT for `port`.
pub(crate) fn answer(request: &[u8], port: u16) -> Option<Vec<u8>> {
    let (from, to) = ports(request)?;
    (to == port && request.get(HEADER) == Some(&INIT)).then(|| packet(to, from, INIT_ACK))
}

/// Whether `packet` answers `init(from, to)`. An ABORT is an answer too: a kernel with SCTP
/// sockets sends one, as it knows nothing of ours.
pub(crate) fn is_answer(packet: &[u8], from: u16, to: u16) -> bool {
    ports(packet) == Some((to, from))
}

fn ports(packet: &[u8]) -> Option<(u16, u16)> {
    let [a, b, c, d, ..] = *packet else { return None };
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

fn packet(from: u16, to: u16, chunk: u8) -> Vec<u8> {
    // An INIT's own header carries no tag: there is no association yet.
    let tag = if chunk == INIT { [0; 4] } else { TAG };
    let window = 0x1_0000_u32.to_be_bytes();
    let (streams, first_sequence) = ([0, 1], [0, 0, 0, 1]);
    let mut packet = [
        from.to_be_bytes().as_slice(),
        &to.to_be_bytes(),
        &tag,
        &[0; 4], // the checksum, below
        &[chunk, 0, 0, 20],
        &TAG,
        &window,
        &streams,
        &streams,
        &first_sequence,
    ]
    .concat();
    // Connection tracking drops what has a wrong one.
    let checksum = crc32c(&packet).to_le_bytes();
    packet[8..HEADER].copy_from_slice(&checksum);
    packet
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
    })
}
