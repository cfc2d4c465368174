//! The document of what a session is: owner, expiry, will, subscriptions.

use contract::qos::Qos;
use contract::time::UnixMillis;
use contract::topic::TopicFilter;

use super::{ORIGIN, Reader, RestoreError, Writer};
use crate::Will;
use crate::lasting::subscriptions::Subscriptions;

const HAS_WILL: u64 = 0b01;
const IS_DETACHED: u64 = 0b10;

/// What the document holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Written {
    pub(crate) owner: Box<str>,
    pub(crate) expiry_secs: u32,
    pub(crate) detached_at: Option<UnixMillis>,
    pub(crate) will: Option<Box<Will>>,
    pub(crate) subscriptions: Subscriptions,
}

pub(crate) fn write(
    out: &mut Vec<u8>,
    owner: &str,
    expiry_secs: u32,
    detached_at: Option<UnixMillis>,
    will: Option<&Will>,
    subscriptions: &Subscriptions,
) {
    let mut writer = Writer::new(out);
    let will_bit = if will.is_some() { HAS_WILL } else { 0 };
    writer.number(will_bit | if detached_at.is_some() { IS_DETACHED } else { 0 });
    writer.bytes(owner.as_bytes());
    writer.number(u64::from(expiry_secs));
    if let Some(detached_at) = detached_at {
        writer.number(detached_at.0);
    }
    if let Some(will) = will {
        writer.number(u64::from(will.qos.bits()) << 1 | u64::from(will.retain));
        writer.number(u64::from(will.delay_secs));
        writer.bytes(will.topic.as_str().as_bytes());
        writer.bytes(&will.payload);
    }
    writer.count(subscriptions.len());
    for (filter, held) in subscriptions.iter() {
        writer.bytes(filter.as_str().as_bytes());
        writer.number(u64::from(held.qos.bits()));
        writer.pos(ORIGIN, held.since);
    }
    writer.count(subscriptions.ended().len());
    for (filter, until) in subscriptions.ended() {
        writer.bytes(filter.as_str().as_bytes());
        writer.pos(ORIGIN, *until);
    }
}

pub(crate) fn read(bytes: &[u8]) -> Result<Written, RestoreError> {
    let mut reader = Reader::new(bytes)?;
    let flags = reader.number()?;
    if flags & !(HAS_WILL | IS_DETACHED) != 0 {
        return Err(RestoreError::Damaged);
    }
    let owner = reader.text()?.into();
    let expiry_secs = reader.short()?;
    let detached_at = if flags & IS_DETACHED == 0 { None } else { Some(UnixMillis(reader.number()?)) };
    let will = if flags & HAS_WILL == 0 { None } else { Some(read_will(&mut reader)?) };
    let mut subscriptions = Subscriptions::default();
    for _ in 0..reader.count()? {
        let filter = read_filter(&mut reader)?;
        let qos = read_qos(reader.number()?)?;
        let since = reader.pos(ORIGIN)?;
        if subscriptions.contains(&filter) {
            return Err(RestoreError::Damaged);
        }
        subscriptions.insert(filter, qos, since);
    }
    for _ in 0..reader.count()? {
        let filter = read_filter(&mut reader)?;
        subscriptions.end(filter, reader.pos(ORIGIN)?);
    }
    reader.end()?;
    Ok(Written { owner, expiry_secs, detached_at, will, subscriptions })
}

fn read_will(reader: &mut Reader<'_>) -> Result<Box<Will>, RestoreError> {
    let flags = reader.number()?;
    let (qos, retain) = (read_qos(flags >> 1)?, flags & 1 != 0);
    let delay_secs = reader.short()?;
    let topic = reader.text()?.parse().map_err(|_| RestoreError::Damaged)?;
    let payload = reader.bytes()?.into();
    Ok(Box::new(Will { topic, payload, qos, retain, delay_secs }))
}

fn read_filter(reader: &mut Reader<'_>) -> Result<TopicFilter, RestoreError> {
    reader.text()?.parse().map_err(|_| RestoreError::Damaged)
}

fn read_qos(bits: u64) -> Result<Qos, RestoreError> {
    u8::try_from(bits).ok().and_then(Qos::from_bits).ok_or(RestoreError::Damaged)
}
