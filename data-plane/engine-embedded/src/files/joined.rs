//! Two files read as one.

use std::io;
use std::sync::Arc;

use super::Reading;

/// A file, and another one behind its end.
#[derive(Debug)]
pub(crate) struct Joined {
    front: Arc<dyn Reading>,
    front_bytes: u64,
    back: Arc<dyn Reading>,
}

impl Joined {
    /// `back` begins behind so many bytes of `front`.
    pub(crate) fn new(front: Arc<dyn Reading>, front_bytes: u64, back: Arc<dyn Reading>) -> Self {
        Self { front, front_bytes, back }
    }
}

impl Reading for Joined {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let in_front = self.front_bytes.saturating_sub(offset);
        let in_front = usize::try_from(in_front).unwrap_or(usize::MAX).min(buffer.len());
        let (front, back) = buffer.split_at_mut(in_front);
        if !front.is_empty() {
            let read = self.front.read_at(offset, front)?;
            if read < front.len() {
                return Ok(read);
            }
        }
        if back.is_empty() {
            return Ok(in_front);
        }
        Ok(in_front + self.back.read_at(offset.saturating_sub(self.front_bytes), back)?)
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.front_bytes + self.back.bytes()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Memory(&'static [u8]);

    impl Reading for Memory {
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
            let rest = self.0.get(usize::try_from(offset).expect("small")..).unwrap_or_default();
            let read = rest.len().min(buffer.len());
            buffer[..read].copy_from_slice(&rest[..read]);
            Ok(read)
        }

        fn bytes(&self) -> io::Result<u64> {
            Ok(self.0.len() as u64)
        }
    }

    #[test]
    fn whatever_is_read_of_two_is_what_one_would_have() {
        let whole = Memory(b"0123456789");
        let joined = Joined::new(Arc::new(Memory(b"0123")), 4, Arc::new(Memory(b"456789")));
        assert_eq!(joined.bytes().expect("memory"), 10);
        for offset in 0..12 {
            for bytes in 0..12 {
                let (mut expected, mut found) = (vec![0; bytes], vec![0; bytes]);
                let read = (whole.read_at(offset, &mut expected), joined.read_at(offset, &mut found));
                let read = (read.0.expect("memory"), read.1.expect("memory"));
                assert_eq!((read.0, expected), (read.1, found), "{bytes} at {offset}");
            }
        }
    }
}
