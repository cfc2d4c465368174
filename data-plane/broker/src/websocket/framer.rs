//! Frames of the node: the stream goes out in binary frames, one for each write, with answers to pings and the close
//! between them. The payload is never copied: a header is written in front of it.

use std::io::IoSlice;

use super::CloseCode;

/// A whole binary frame, not masked, and the first byte of the control frames.
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PONG: u8 = 0x8A;

/// The longest header of a frame of the node.
const HEADER_BYTES_MAX: usize = 10;

/// Where in its frames the output of a connection is.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    header: [u8; HEADER_BYTES_MAX],
    /// Bytes of the header, and how many of them are written.
    header_bytes: u8,
    header_written: u8,
    /// Bytes of the stream that the frame has yet to take.
    left: usize,
    /// What is to be said between two frames.
    pong: Option<Vec<u8>>,
    close: Option<CloseCode>,
    /// Control frames that are being written.
    control: Vec<u8>,
    is_closed: bool,
}

impl Framer {
    /// Answers a ping, in place of one before it that has not been answered yet.
    pub(crate) fn pong(&mut self, payload: Vec<u8>) {
        self.pong = Some(payload);
    }

    /// Closes behind what has been handed over. The first code counts.
    pub(crate) fn close(&mut self, code: CloseCode) {
        self.close.get_or_insert(code);
    }

    /// Whether there is something to write besides the stream.
    pub(crate) fn has_control(&self) -> bool {
        !self.control.is_empty() || self.pong.is_some() || self.close.is_some() && !self.is_closed
    }

    /// Whether no frame has begun that is not at its end.
    pub(crate) const fn is_between(&self) -> bool {
        self.left == 0 && self.header_written == self.header_bytes
    }

    /// Whether the close is said, behind which nothing may follow.
    pub(crate) const fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Control frames to write now, if no data frame has begun. A close goes behind the whole stream: it is given once
    /// nothing of it is left. To those that wait to be written nothing is added: a peer that asks and never reads is
    /// owed its last answer, not all of them.
    pub(crate) fn control(&mut self, stream_is_empty: bool) -> &mut Vec<u8> {
        if self.is_between() && self.control.is_empty() {
            if let Some(payload) = self.pong.take() {
                put(&mut self.control, PONG, &payload);
            }
            if let Some(code) = self.close
                && stream_is_empty
                && !self.is_closed
            {
                put(&mut self.control, CLOSE, &(code as u16).to_be_bytes());
                self.is_closed = true;
            }
        }
        &mut self.control
    }

    /// What is written next: what is left of a header, and of `stream` what belongs into its frame. Between frames the
    /// whole stream becomes one.
    pub(crate) fn data<'a>(&'a mut self, stream: &'a [u8]) -> [IoSlice<'a>; 2] {
        if self.is_between() && !stream.is_empty() {
            self.begin(stream.len());
        }
        let header = &self.header[usize::from(self.header_written)..usize::from(self.header_bytes)];
        [IoSlice::new(header), IoSlice::new(&stream[..self.left.min(stream.len())])]
    }

    /// So many bytes of what [`data`](Self::data) gave have been written; the answer is how many were of the stream.
    pub(crate) fn advance(&mut self, written: usize) -> usize {
        let header = written.min(usize::from(self.header_bytes - self.header_written));
        self.header_written += u8::try_from(header).unwrap_or_default();
        let stream = written - header;
        self.left -= stream;
        stream
    }

    fn begin(&mut self, length: usize) {
        self.left = length;
        self.header_written = 0;
        self.header[0] = BINARY;
        let long = (length as u64).to_be_bytes();
        self.header_bytes = match length {
            0..=125 => {
                self.header[1] = long[7];
                2
            }
            126..=0xFFFF => {
                self.header[1] = 126;
                self.header[2..4].copy_from_slice(&long[6..]);
                4
            }
            _ => {
                self.header[1] = 127;
                self.header[2..].copy_from_slice(&long);
                10
            }
        };
    }
}

/// A control frame; its payload is at most 125 bytes, as that of the ping which it answers.
fn put(out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    out.extend([first, u8::try_from(payload.len()).unwrap_or_default()]);
    out.extend_from_slice(payload);
}
