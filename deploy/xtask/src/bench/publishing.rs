//! Publishing so many messages at QoS 1 as fast as they are acknowledged: what comes before a figure is measured. It
//! measures nothing.

use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use mqtt::PacketId;
use mqtt::kind;

use super::now;
use super::sockets::Sockets;

/// Messages of one publisher that may be under way.
const WINDOW: u64 = 200;
/// A publisher whose window has come down to this is given more.
const WINDOW_LOW: u64 = WINDOW / 2;
/// Nothing at all may happen for this long.
const SILENCE_MAX: Duration = Duration::from_secs(30);

#[derive(Clone, Default)]
struct Publisher {
    sent: u64,
    acknowledged: u64,
}

/// Publishes messages 0 to `count` over the connections and waits until the last is acknowledged: message `n` goes over
/// connection `n % connections`. `append` puts one as a whole PUBLISH of QoS 1 behind others.
pub(crate) fn publish_all(
    streams: Vec<TcpStream>,
    count: u64,
    mut append: impl FnMut(u64, PacketId, &mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    let mut sockets = Sockets::new(streams)?;
    let step = sockets.count() as u64;
    let mut publishers = vec![Publisher::default(); sockets.count()];
    let (mut acknowledged, mut last_progress) = (0, now());
    while acknowledged < count {
        for (at, publisher) in publishers.iter_mut().enumerate() {
            if publisher.sent - publisher.acknowledged > WINDOW_LOW {
                continue;
            }
            while publisher.sent - publisher.acknowledged < WINDOW {
                let number = at as u64 + publisher.sent * step;
                if number >= count {
                    break;
                }
                append(number, packet_id(publisher.sent), sockets.out(at))?;
                publisher.sent += 1;
            }
        }
        let before = acknowledged;
        sockets.turn(SILENCE_MAX, &mut |at, packet, _| {
            ensure!(packet.kind() == kind::PUBACK, "packet type {} came unasked", packet.kind());
            let publisher = &mut publishers[at];
            publisher.acknowledged += 1;
            acknowledged += 1;
            ensure!(publisher.acknowledged <= publisher.sent, "a PUBACK for nothing");
            Ok(())
        })?;
        if acknowledged > before {
            last_progress = now();
        } else if now() - last_progress > SILENCE_MAX {
            bail!("{acknowledged} of {count} messages are acknowledged and no more");
        }
    }
    Ok(())
}

/// The packet identifier of a publisher's message: one after the other, none of them 0.
pub(crate) fn packet_id(sent: u64) -> PacketId {
    let id = u16::try_from(sent % u64::from(u16::MAX)).unwrap_or(0) + 1;
    PacketId::new(id).unwrap_or(PacketId::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_identifiers_go_round_and_pass_over_zero() {
        for (sent, id) in [(0, 1), (1, 2), (65_534, 65_535), (65_535, 1), (131_070, 1)] {
            assert_eq!(packet_id(sent).get(), id);
        }
    }
}
