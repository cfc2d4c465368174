//! Damaged packets by the hundred thousand, from a corpus that is in the tree: no decoder panics, and none asks for
//! memory by a length that a packet only announces. The same seed damages the same way everywhere.

use std::path::Path;

use mqtt::Version;
use mqtt::client;

/// Damaged packets that are read.
const ROUNDS: usize = 1_500_000;

/// The bytes that a decoder may ask for, for each byte of the packet: a filter of one character is four bytes on the
/// wire and a text of its own with options in memory, in a list that may have grown twice its length.
const BYTES_PER_BYTE_MAX: u64 = 64;

/// The bytes that a decoder may ask for besides.
const BYTES_MAX: u64 = 512;

/// A generator of numbers (xorshift) that is the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(bound.max(1)).expect("64 bits")).expect("below the bound")
    }

    fn byte(&mut self) -> u8 {
        // Numbers that mean something come as often as all the others.
        const LOADED: [u8; 24] = [
            0, 0, 1, 2, 3, 4, 5, 0x0B, 0x11, 0x15, 0x1F, 0x21, 0x23, 0x26, 0x2A, 0x7F, 0x80, 0x81, 0xC0,
            0xFF, b'#', b'+', b'/', b'$',
        ];
        let byte = self.roll().to_le_bytes()[3];
        if byte < 128 { LOADED[usize::from(byte) % LOADED.len()] } else { self.roll().to_le_bytes()[5] }
    }
}

/// The packets of the corpus: a line each, as hexadecimal digits.
fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .expect("the corpus is in the tree")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    paths.sort();
    let mut packets = Vec::new();
    for path in paths {
        let lines = std::fs::read_to_string(&path).expect("a readable file");
        packets.extend(lines.lines().filter(|line| !line.is_empty()).map(|line| {
            let byte = |at: usize| u8::from_str_radix(&line[at..at + 2], 16).expect("two hexadecimal digits");
            (0..line.len()).step_by(2).map(byte).collect::<Vec<_>>()
        }));
    }
    assert!(packets.len() >= 100, "packets are missing: {}", packets.len());
    packets
}

fn damage(dice: &mut Dice, packets: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = packets[dice.below(packets.len())].clone();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len());
        match dice.below(8) {
            0 | 1 if !bytes.is_empty() => bytes[at] = dice.byte(),
            2 if !bytes.is_empty() => bytes[at] ^= 1 << dice.below(8),
            3 => bytes.insert(at, dice.byte()),
            4 if !bytes.is_empty() => drop(bytes.remove(at)),
            5 => bytes.truncate(at),
            // A length that promises much.
            6 if bytes.len() >= at + 2 => bytes[at..at + 2].copy_from_slice(&[0xFF, 0xFF]),
            _ => {
                let other = &packets[dice.below(packets.len())];
                let from = dice.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    // Most are worth nothing with a wrong length, so most get the right one.
    if dice.below(4) > 0 && (2..130).contains(&bytes.len()) {
        bytes[1] = u8::try_from(bytes.len() - 2).expect("under 128");
    }
    bytes
}

/// Reads one packet by every decoder; the answer is how many took it.
fn read_every_way(bytes: &[u8]) -> usize {
    let Ok(Some(frame)) = mqtt::frame(bytes, bytes.len()) else { return 0 };
    let mut taken = usize::from(mqtt::decode_first(frame).is_ok());
    for version in Version::ALL {
        taken += usize::from(mqtt::decode(version, frame).is_ok());
        taken += usize::from(client::decode(version, frame).is_ok());
    }
    taken
}

#[test]
fn no_damage_makes_a_decoder_panic_or_ask_for_what_was_only_announced() {
    let packets = corpus();
    let mut dice = Dice(0x005E_ED0F_5EED);
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..ROUNDS {
        let bytes = damage(&mut dice, &packets);
        let mut took = 0;
        let asked = allocation_counter::measure(|| took = read_every_way(&bytes));
        let length = u64::try_from(bytes.len()).expect("short");
        // Seven decoders read it.
        let most = 7 * (BYTES_PER_BYTE_MAX * length + BYTES_MAX);
        assert!(asked.bytes_total <= most, "{} bytes for {length}: {bytes:02x?}", asked.bytes_total);
        if took > 0 { taken += 1 } else { refused += 1 }
    }
    // Both happen, or the damage is too little or too much to show anything.
    assert!(taken > ROUNDS / 20 && refused > ROUNDS / 20, "{taken} taken, {refused} refused");
}

/// The same for what the corpus holds as it is, with the header of a packet that announces the most that can be said.
#[test]
fn a_length_that_is_only_announced_asks_for_nothing() {
    for packet in corpus() {
        let mut bytes = packet[..1].to_vec();
        bytes.extend_from_slice(&[0xFF, 0xFF, 0xFF, 0x7F]);
        bytes.extend_from_slice(&packet[1..]);
        let mut incomplete = false;
        let asked = allocation_counter::measure(|| {
            incomplete = matches!(mqtt::frame(&bytes, usize::MAX), Ok(None) | Err(_));
        });
        assert!(incomplete, "{bytes:02x?}");
        assert_eq!(asked.bytes_total, 0, "{bytes:02x?}");
    }
}
