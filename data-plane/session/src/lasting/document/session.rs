//! The document of what a session is: owner, expiry, will, subscriptions.
//!
//! Version 2 has what only 5.0 can ask for: options and identifier of a subscription stand in the number that is the QoS
//! alone in version 1, and two more flags of a will say that its expiry and its properties follow.

use contract::qos::Qos;
use contract::time::UnixMillis;
use contract::topic::TopicFilter;

use super::{ORIGIN, Reader, RestoreError, Writer};
use crate::Will;
use crate::granted::Granted;
use crate::lasting::subscriptions::Subscriptions;

const HAS_WILL: u64 = 0b01;
const IS_DETACHED: u64 = 0b10;

/// The version that is written; older ones are read.
const VERSION: u8 = 2;

const WILL_RETAIN: u64 = 0b0001;
const WILL_QOS_SHIFT: u64 = 1;
const WILL_QOS: u64 = 0b0110;
const WILL_EXPIRES: u64 = 0b0_1000;
const WILL_HAS_CONTENT: u64 = 0b1_0000;

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
    let mut writer = Writer::of_version(out, VERSION);
    let will_bit = if will.is_some() { HAS_WILL } else { 0 };
    writer.number(will_bit | if detached_at.is_some() { IS_DETACHED } else { 0 });
    writer.bytes(owner.as_bytes());
    writer.number(u64::from(expiry_secs));
    if let Some(detached_at) = detached_at {
        writer.number(detached_at.0);
    }
    if let Some(will) = will {
        write_will(&mut writer, will);
    }
    writer.count(subscriptions.len());
    for (filter, held) in subscriptions.iter() {
        writer.bytes(filter.as_str().as_bytes());
        writer.number(u64::from(held.granted.bits()));
        writer.pos(ORIGIN, held.since);
    }
    writer.count(subscriptions.ended().len());
    for (filter, until) in subscriptions.ended() {
        writer.bytes(filter.as_str().as_bytes());
        writer.pos(ORIGIN, *until);
    }
}

pub(crate) fn read(bytes: &[u8]) -> Result<Written, RestoreError> {
    let (version, mut reader) = Reader::up_to_version(bytes, VERSION)?;
    let flags = reader.number()?;
    if flags & !(HAS_WILL | IS_DETACHED) != 0 {
        return Err(RestoreError::Damaged);
    }
    let owner = reader.text()?.into();
    let expiry_secs = reader.short()?;
    let detached_at = if flags & IS_DETACHED == 0 { None } else { Some(UnixMillis(reader.number()?)) };
    let will = if flags & HAS_WILL == 0 { None } else { Some(read_will(&mut reader, version)?) };
    let mut subscriptions = Subscriptions::default();
    for _ in 0..reader.count()? {
        let filter = read_filter(&mut reader)?;
        let granted = read_granted(&mut reader, version)?;
        let since = reader.pos(ORIGIN)?;
        if subscriptions.contains(&filter) {
            return Err(RestoreError::Damaged);
        }
        subscriptions.insert(filter, granted, since);
    }
    for _ in 0..reader.count()? {
        let filter = read_filter(&mut reader)?;
        subscriptions.end(filter, reader.pos(ORIGIN)?);
    }
    reader.end()?;
    Ok(Written { owner, expiry_secs, detached_at, will, subscriptions })
}

fn write_will(writer: &mut Writer<'_>, will: &Will) {
    let expires = if will.expiry_secs.is_some() { WILL_EXPIRES } else { 0 };
    let has_content = if will.content.is_empty() { 0 } else { WILL_HAS_CONTENT };
    let flags = u64::from(will.qos.bits()) << WILL_QOS_SHIFT | u64::from(will.retain);
    writer.number(flags | expires | has_content);
    writer.number(u64::from(will.delay_secs));
    writer.bytes(will.topic.as_str().as_bytes());
    writer.bytes(&will.payload);
    if let Some(secs) = will.expiry_secs {
        writer.number(u64::from(secs));
    }
    if !will.content.is_empty() {
        writer.bytes(&will.content);
    }
}

fn read_will(reader: &mut Reader<'_>, version: u8) -> Result<Box<Will>, RestoreError> {
    let flags = reader.number()?;
    let known = WILL_QOS | WILL_RETAIN | if version < 2 { 0 } else { WILL_EXPIRES | WILL_HAS_CONTENT };
    if flags & !known != 0 {
        return Err(RestoreError::Damaged);
    }
    let qos = read_qos((flags & WILL_QOS) >> WILL_QOS_SHIFT)?;
    let delay_secs = reader.short()?;
    let topic = reader.text()?.parse().map_err(|_| RestoreError::Damaged)?;
    let payload = reader.bytes()?.into();
    let expiry_secs = if flags & WILL_EXPIRES == 0 { None } else { Some(reader.short()?) };
    let content = if flags & WILL_HAS_CONTENT == 0 { Box::default() } else { reader.bytes()?.into() };
    Ok(Box::new(Will {
        topic,
        payload,
        qos,
        retain: flags & WILL_RETAIN != 0,
        delay_secs,
        expiry_secs,
        content,
    }))
}

fn read_granted(reader: &mut Reader<'_>, version: u8) -> Result<Granted, RestoreError> {
    let granted = Granted::from_bits(reader.short()?).ok_or(RestoreError::Damaged)?;
    if version < 2 && granted.is_special() { Err(RestoreError::Damaged) } else { Ok(granted) }
}

fn read_filter(reader: &mut Reader<'_>) -> Result<TopicFilter, RestoreError> {
    reader.text()?.parse().map_err(|_| RestoreError::Damaged)
}

fn read_qos(bits: u64) -> Result<Qos, RestoreError> {
    u8::try_from(bits).ok().and_then(Qos::from_bits).ok_or(RestoreError::Damaged)
}
