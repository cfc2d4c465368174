//! AUTH: one step of an exchange that proves the client (5.0).

use crate::disconnect::write_short;
use crate::error::DecodeError;
use crate::field::Fields;
use crate::packet::kind;
use crate::property::{Properties, UserProperties, id, write};
use crate::reason::ReasonCode;

/// A step of either side.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Auth<'a> {
    /// [`Success`](ReasonCode::Success), [`ContinueAuthentication`](ReasonCode::ContinueAuthentication) or
    /// [`Reauthenticate`](ReasonCode::Reauthenticate).
    pub reason: ReasonCode,
    /// The method, that of CONNECT; absent only in the shortest form.
    pub method: Option<&'a str>,
    /// What the method says.
    pub data: Option<&'a [u8]>,
    /// Why, for people.
    pub reason_string: Option<&'a str>,
    /// More about it.
    pub user_properties: UserProperties<'a>,
}

/// Shows that there is data, never which: it may prove the client.
impl std::fmt::Debug for Auth<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth")
            .field("reason", &self.reason)
            .field("method", &self.method)
            .field("data", &self.data.map(|_| "***"))
            .field("reason_string", &self.reason_string)
            .field("user_properties", &self.user_properties)
            .finish()
    }
}

impl Default for Auth<'_> {
    fn default() -> Self {
        Self {
            reason: ReasonCode::Success,
            method: None,
            data: None,
            reason_string: None,
            user_properties: UserProperties::default(),
        }
    }
}

/// AUTH, without more words than the method needs.
pub fn auth(out: &mut Vec<u8>, reason: ReasonCode, method: &str, data: Option<&[u8]>) {
    Auth { reason, method: Some(method), data, ..Auth::default() }.write(out);
}

impl<'a> Auth<'a> {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut section = Vec::new();
        if let Some(method) = self.method {
            write::bytes(&mut section, id::AUTH_METHOD, method.as_bytes());
        }
        if let Some(data) = self.data {
            write::bytes(&mut section, id::AUTH_DATA, data);
        }
        write::reason(&mut section, self.reason_string, &self.user_properties);
        write_short(out, kind::AUTH << 4, &[], self.reason, &section);
    }

    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(body);
        let mut read = Self::default();
        if fields.is_empty() {
            return Ok(read);
        }
        read.reason = match ReasonCode::from_byte(fields.byte()?) {
            Some(
                reason @ (ReasonCode::Success
                | ReasonCode::ContinueAuthentication
                | ReasonCode::Reauthenticate),
            ) => reason,
            _ => return Err(DecodeError::ReasonCode),
        };
        let mut properties = Properties::read(&mut fields)?;
        read.user_properties = UserProperties::within(properties.section());
        while let Some(id) = properties.next()? {
            match id {
                id::AUTH_METHOD => read.method = Some(properties.text()?),
                id::AUTH_DATA => read.data = Some(properties.binary()?),
                id::REASON_STRING => read.reason_string = Some(properties.text()?),
                id::USER_PROPERTY => properties.check_pair()?,
                _ => return Err(DecodeError::Property),
            }
        }
        fields.finish()?;
        if read.method.is_none() { Err(DecodeError::AuthenticationMethod) } else { Ok(read) }
    }
}
