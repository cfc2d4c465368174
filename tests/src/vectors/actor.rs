//! What one connection of a vector does and gets, step by step.

use super::connection::{Connection, Next};
use super::notation::{Deed, Words, number};
use super::pattern::{Kept, fits, is_number, resolved};
use super::play::Surroundings;
use super::reader::{Seen, Value};
use super::writer::{self, options};

/// A connection by its name; none before it is made and after its end.
pub(super) struct Actor {
    pub(super) name: String,
    /// The level of the vector's version.
    pub(super) level: u8,
    pub(super) connection: Option<Connection>,
    /// What has come, for whoever reads why a vector failed.
    pub(super) seen: Vec<String>,
}

impl Actor {
    pub(super) async fn act(
        &mut self,
        deed: &Deed,
        around: &Surroundings,
        kept: &mut Kept,
    ) -> Result<(), String> {
        match deed {
            Deed::Open => self.open(around).await,
            Deed::Drop => {
                self.connection = None;
                Ok(())
            }
            Deed::Connects(words) => {
                self.send(std::slice::from_ref(words), around, kept).await?;
                self.expect(&words_of("CONNACK", &[]), kept).await
            }
            Deed::Sends(packets) => self.send(packets, around, kept).await,
            Deed::Receives(packets) => self.receive(packets, kept).await,
            Deed::Subscribes(words) => self.subscribe(words, around, kept).await,
            Deed::Publishes(words) => self.publish(words, around, kept).await,
            Deed::Gets(words) => self.get(words, around, kept).await,
            Deed::Leaves => {
                self.send(&[words_of("DISCONNECT", &[])], around, kept).await?;
                self.closed(None).await
            }
            Deed::Nothing => {
                self.send(&[words_of("PINGREQ", &[])], around, kept).await?;
                self.expect(&words_of("PINGRESP", &[]), kept).await
            }
            Deed::Closed(codes) => self.closed(codes.as_deref()).await,
            Deed::Refused(codes) => self.refused(codes.as_deref()).await,
        }
    }

    async fn open(&mut self, around: &Surroundings) -> Result<(), String> {
        self.connection = Some(Connection::open(around.address, self.level).await?);
        Ok(())
    }

    fn connection(&mut self) -> Result<&mut Connection, String> {
        self.connection.as_mut().ok_or_else(|| format!("connection `{}` is not open", self.name))
    }

    /// A CONNECT with what is not said: the connection's own client identifier and a token that may do everything.
    fn connect(&self, words: &Words, prefix: &str) -> Words {
        let words = words.clone().or("id", &format!("{prefix}{}", self.name));
        words.or("user", "device").or("pass", "@token").or("v", &self.level.to_string())
    }

    async fn send(&mut self, packets: &[Words], around: &Surroundings, kept: &Kept) -> Result<(), String> {
        if self.connection.is_none() {
            self.open(around).await?;
        }
        let mut out = Vec::new();
        for words in packets {
            let is_connect = words.kind == "CONNECT";
            let mut words = if is_connect { self.connect(words, &around.prefix) } else { words.clone() };
            for (_, value) in &mut words.pairs {
                *value = resolved(value, kept)?;
            }
            let connection = self.connection()?;
            if is_connect {
                connection.asks(&words)?;
            }
            out.extend(writer::packet(&words, connection.level)?);
        }
        self.connection()?.send(&out).await;
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Seen>, String> {
        match self.connection()?.next().await? {
            Next::Packet(seen) => {
                self.seen.push(format!("{} < {seen}", self.name));
                Ok(Some(seen))
            }
            Next::End => {
                self.seen.push(format!("{} < closed", self.name));
                Ok(None)
            }
            Next::Silence => Err("nothing came".to_owned()),
        }
    }

    async fn expect(&mut self, wanted: &Words, kept: &mut Kept) -> Result<(), String> {
        match self.next().await? {
            Some(seen) => fits(wanted, &seen, kept).map_err(|error| format!("{error}: got {seen}")),
            None => Err("the broker closed".to_owned()),
        }
    }

    /// The next packets must be these; each takes the first of them that it fits.
    async fn receive(&mut self, wanted: &[Words], kept: &mut Kept) -> Result<(), String> {
        if let [wanted] = wanted {
            return self.expect(wanted, kept).await;
        }
        let mut open = wanted.to_vec();
        while !open.is_empty() {
            let Some(seen) = self.next().await? else { return Err("the broker closed".to_owned()) };
            match open.iter().position(|wanted| fits(wanted, &seen, kept).is_ok()) {
                Some(at) => drop(open.remove(at)),
                None => return Err(format!("none of those wanted: {seen}")),
            }
        }
        Ok(())
    }

    async fn subscribe(
        &mut self,
        words: &Words,
        around: &Surroundings,
        kept: &mut Kept,
    ) -> Result<(), String> {
        let id = self.connection()?.next_id().to_string();
        let granted = words.all("filter").map(|word| {
            let said = word.rsplit_once(':').map_or("", |(_, options)| options);
            options(said).map(|byte| (byte & 3).to_string())
        });
        let granted = granted.collect::<Result<Vec<_>, _>>()?.join(",");
        self.send(&[words.clone().or("id", &id)], around, kept).await?;
        self.expect(&words_of("SUBACK", &[("id", &id), ("codes", &granted)]), kept).await
    }

    async fn publish(&mut self, words: &Words, around: &Surroundings, kept: &mut Kept) -> Result<(), String> {
        let qos = words.find("qos").and_then(number).unwrap_or(0);
        let id = match words.find("id") {
            Some(id) => resolved(id, kept)?,
            None => self.connection()?.next_id().to_string(),
        };
        let words = if qos > 0 { words.clone().or("id", &id) } else { words.clone() };
        self.send(&[words], around, kept).await?;
        let id = [("id", id.as_str())];
        // In 5.0 it may be said that nobody was there to hear it.
        let accepted = [("id", id[0].1), ("code", "0|0x10")];
        let accepted = if self.connection()?.level >= 5 { &accepted[..] } else { &id[..] };
        match qos {
            0 => Ok(()),
            1 => self.expect(&words_of("PUBACK", accepted), kept).await,
            _ => {
                self.expect(&words_of("PUBREC", accepted), kept).await?;
                self.send(&[words_of("PUBREL", &id)], around, kept).await?;
                self.expect(&words_of("PUBCOMP", &id), kept).await
            }
        }
    }

    async fn get(&mut self, words: &Words, around: &Surroundings, kept: &mut Kept) -> Result<(), String> {
        let Some(seen) = self.next().await? else { return Err("the broker closed".to_owned()) };
        fits(words, &seen, kept).map_err(|error| format!("{error}: got {seen}"))?;
        let Some(id) = seen.number("id").map(|id| id.to_string()) else { return Ok(()) };
        let id = [("id", id.as_str())];
        if seen.number("qos") == Some(1) {
            return self.send(&[words_of("PUBACK", &id)], around, kept).await;
        }
        self.send(&[words_of("PUBREC", &id)], around, kept).await?;
        self.expect(&words_of("PUBREL", &id), kept).await?;
        self.send(&[words_of("PUBCOMP", &id)], around, kept).await
    }

    /// The broker closes; of 5.0 with a DISCONNECT before it if codes are named, else with or without.
    async fn closed(&mut self, codes: Option<&str>) -> Result<(), String> {
        let mut told = None;
        while let Some(seen) = self.next().await? {
            let code = seen.number("code");
            match (seen.kind, code) {
                ("DISCONNECT", Some(code)) if told.is_none() => told = Some(code),
                _ => return Err(format!("wanted the end, got {seen}")),
            }
        }
        self.connection = None;
        match (codes, told) {
            (Some(codes), None) => Err(format!("closed without DISCONNECT, wanted {codes}")),
            (Some(codes), Some(told)) if !is_number(codes, told) => {
                Err(format!("wanted the reason {codes}, got {told:#04x}"))
            }
            (None, Some(told)) if told < 0x80 => Err(format!("closed with reason {told:#04x}")),
            _ => Ok(()),
        }
    }

    /// The broker closes instead of accepting; with a CONNACK of one of these codes if any are named.
    async fn refused(&mut self, codes: Option<&str>) -> Result<(), String> {
        match self.next().await? {
            None if codes.is_none() => {
                self.connection = None;
                return Ok(());
            }
            None => return Err("closed without CONNACK".to_owned()),
            Some(seen) => match seen.find("code") {
                Some(Value::Number(code)) if seen.kind == "CONNACK" && *code != 0 => {
                    if codes.is_some_and(|codes| !is_number(codes, *code)) {
                        return Err(format!("wanted {}, got {seen}", codes.unwrap_or_default()));
                    }
                }
                _ => return Err(format!("wanted a refusal, got {seen}")),
            },
        }
        if let Some(seen) = self.next().await? {
            return Err(format!("wanted the end, got {seen}"));
        }
        self.connection = None;
        Ok(())
    }
}

fn words_of(kind: &str, pairs: &[(&str, &str)]) -> Words {
    let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Words { kind: kind.to_owned(), pairs }
}
