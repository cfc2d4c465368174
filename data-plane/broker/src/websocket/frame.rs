//! Frames of a client, taken apart where they lie: what remains at the front of the buffer is the stream of MQTT.
//! Between two reads nothing is kept but where in a frame the stream is.

use super::CloseCode;

/// The longest header of a client's frame: two bytes, a long length and the mask.
const HEADER_BYTES_MAX: usize = 14;

/// The largest payload of a control frame (RFC 6455, section 5.5).
const CONTROL_BYTES_MAX: usize = 125;

/// The largest data frame: one of these could hold the largest packet of MQTT. No frame is ever gathered, so this
/// bounds what a client can claim and not what the node must hold.
const FRAME_BYTES_MAX: u64 = 5 + 268_435_455;

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// What a client sent besides the stream, and what it did wrong.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Unframed {
    /// Bytes of the stream, at the front of the buffer.
    pub(crate) bytes: usize,
    /// The payload of the last ping that came: it is to be answered, those before it need not be (section 5.5.3).
    pub(crate) ping: Option<Vec<u8>>,
    /// Nothing follows.
    pub(crate) ended: Option<Ended>,
}

/// How the frames of a client end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    /// It has said that it closes.
    Closed,
    /// It has broken the rules, and is told so.
    Broken(CloseCode),
}

/// Where in the frames of a client the stream is.
#[derive(Debug, Default)]
pub(crate) struct Unframer {
    /// The beginning of the next header.
    header: [u8; HEADER_BYTES_MAX],
    header_bytes: u8,
    /// A frame has begun.
    frame: Option<Frame>,
    /// The last data frame was not the end of its message.
    is_fragmented: bool,
    /// Nothing that follows is looked at.
    ended: Option<Ended>,
    /// The payload of the control frame that has begun.
    control: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: u8,
    /// Bytes of the payload still to come.
    remaining: u64,
    mask: [u8; 4],
    /// Which byte of the mask is next.
    at: u8,
}

impl Unframer {
    /// How they have ended, if they have.
    pub(crate) const fn ended(&self) -> Option<Ended> {
        self.ended
    }

    /// Takes the frames in `bytes` apart. Behind a close, or a breach of the rules, nothing is looked at.
    pub(crate) fn unframe(&mut self, bytes: &mut [u8]) -> Unframed {
        let mut unframed = Unframed::default();
        if let Err(code) = self.take(bytes, &mut unframed) {
            unframed.ended = Some(Ended::Broken(code));
        }
        self.ended = self.ended.or(unframed.ended);
        unframed
    }

    fn take(&mut self, bytes: &mut [u8], unframed: &mut Unframed) -> Result<(), CloseCode> {
        let mut at = 0;
        while self.ended.is_none() && unframed.ended.is_none() {
            let Some(frame) = &mut self.frame else {
                let Some(&byte) = bytes.get(at) else { return Ok(()) };
                at += 1;
                self.take_header_byte(byte)?;
                continue;
            };
            let left = bytes.len() - at;
            let size = usize::try_from(frame.remaining).map_or(left, |remaining| remaining.min(left));
            if size == 0 && frame.remaining > 0 {
                return Ok(());
            }
            frame.unmask(&mut bytes[at..at + size]);
            if frame.opcode < CLOSE {
                if unframed.bytes < at {
                    bytes.copy_within(at..at + size, unframed.bytes);
                }
                unframed.bytes += size;
            } else {
                self.control.extend_from_slice(&bytes[at..at + size]);
            }
            at += size;
            if frame.remaining == 0 {
                let opcode = frame.opcode;
                self.frame = None;
                self.end_frame(opcode, unframed)?;
            }
        }
        Ok(())
    }

    fn end_frame(&mut self, opcode: u8, unframed: &mut Unframed) -> Result<(), CloseCode> {
        if opcode < CLOSE {
            return Ok(());
        }
        let control = std::mem::take(&mut self.control);
        match opcode {
            PING => unframed.ping = Some(control),
            CLOSE => {
                check_close(&control)?;
                unframed.ended = Some(Ended::Closed);
            }
            _ => {}
        }
        Ok(())
    }

    fn take_header_byte(&mut self, byte: u8) -> Result<(), CloseCode> {
        self.header[usize::from(self.header_bytes)] = byte;
        self.header_bytes += 1;
        if self.header_bytes < 2 {
            return Ok(());
        }
        // The length of a length, then the four bytes of the mask.
        let long = match self.header[1] & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if self.header_bytes == 2 {
            self.check_begin()?;
        }
        if self.header_bytes < 2 + long + 4 {
            return Ok(());
        }
        self.header_bytes = 0;
        let (length, mask) = self.header[2..].split_at(usize::from(long));
        let length = match length.len() {
            0 => u64::from(self.header[1] & 0x7F),
            _ => length.iter().fold(0, |length, &byte| length << 8 | u64::from(byte)),
        };
        // The shortest form is the only one (section 5.2).
        if long == 2 && length < 126 || long == 8 && (length <= 0xFFFF || length >> 63 != 0) {
            return Err(CloseCode::ProtocolError);
        }
        if length > FRAME_BYTES_MAX {
            return Err(CloseCode::TooBig);
        }
        let opcode = self.header[0] & 0x0F;
        if opcode < CLOSE {
            self.is_fragmented = self.header[0] & 0x80 == 0;
        }
        let mask = [mask[0], mask[1], mask[2], mask[3]];
        self.frame = Some(Frame { opcode, remaining: length, mask, at: 0 });
        Ok(())
    }

    /// What the first two bytes of a header already tell.
    fn check_begin(&self) -> Result<(), CloseCode> {
        let [first, second, ..] = self.header;
        let (is_final, opcode) = (first & 0x80 != 0, first & 0x0F);
        // No extension is agreed on, and a client masks (section 5.1).
        if first & 0x70 != 0 || second & 0x80 == 0 {
            return Err(CloseCode::ProtocolError);
        }
        let lawful = match opcode {
            CONTINUATION => self.is_fragmented,
            BINARY => !self.is_fragmented,
            TEXT => return Err(CloseCode::Unsupported),
            CLOSE | PING | PONG => is_final && usize::from(second & 0x7F) <= CONTROL_BYTES_MAX,
            _ => false,
        };
        if lawful { Ok(()) } else { Err(CloseCode::ProtocolError) }
    }
}

impl Frame {
    /// Unmasks the next bytes of the payload, in place (section 5.3).
    fn unmask(&mut self, bytes: &mut [u8]) {
        let mut mask = self.mask;
        mask.rotate_left(usize::from(self.at));
        let [a, b, c, d] = mask;
        let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
        let (words, rest) = bytes.as_chunks_mut::<8>();
        for word in words {
            *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
        }
        for (byte, key) in rest.iter_mut().zip(mask.into_iter().cycle()) {
            *byte ^= key;
        }
        self.remaining -= bytes.len() as u64;
        self.at = (self.at + u8::try_from(bytes.len() % 4).unwrap_or_default()) % 4;
    }
}

/// The payload of a close is empty, or a code and a reason in UTF-8 (section 5.5.1).
fn check_close(payload: &[u8]) -> Result<(), CloseCode> {
    let lawful = match payload {
        [] => true,
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) && std::str::from_utf8(reason).is_ok()
        }
        [_] => false,
    };
    if lawful { Ok(()) } else { Err(CloseCode::ProtocolError) }
}
