//! Bridges of our own, music, and lamps: what two legs of one call need.

use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::{
    Bridge, Client, RequestError,
    ids::{BridgeId, ChannelId, encode_segment},
};

/// In this order, which Asterisk reads from left to right (res_stasis.c, `bridge_create_common`): `mixing` would let RTP pass by the
/// core, keys with it and unseen; each of the others takes that away again.
const TYPE: &str = "mixing,dtmf_events,proxy_media";

/// How a device looks to lamps (BLF) and to queues (`state_interface`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeviceState {
    /// Free.
    NotInuse,
    /// Taken.
    Inuse,
}

#[derive(Serialize)]
struct Create<'a> {
    r#type: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct Add<'a> {
    channel: &'a str,
    #[serde(rename = "absorbDTMF")]
    absorb_dtmf: bool,
}

#[derive(Serialize)]
struct Remove<'a> {
    channel: &'a str,
}

#[derive(Deserialize)]
struct Device {
    name: String,
}

#[derive(Serialize)]
struct State {
    #[serde(rename = "deviceState")]
    device_state: DeviceState,
}

impl Client {
    /// Makes a bridge through which all sound passes Asterisk, and whose keys come as events. The name is for people who look.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn create_bridge(&self, bridge: &BridgeId, name: &str) -> Result<(), RequestError> {
        let path = format!("/bridges/{}", bridge.segment());
        let body = Create { r#type: TYPE, name };
        self.done(Method::POST, &path, Some(body)).await
    }

    /// What carries a bridge now, and who is in it.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn bridge(&self, bridge: &BridgeId) -> Result<Bridge, RequestError> {
        self.get(&format!("/bridges/{}", bridge.segment())).await
    }

    /// Ends a bridge; the channels in it stay ours. One that is not there is no error.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn destroy_bridge(&self, bridge: &BridgeId) -> Result<(), RequestError> {
        let path = format!("/bridges/{}", bridge.segment());
        match self.done(Method::DELETE, &path, None::<()>).await {
            Err(RequestError::Gone) => Ok(()),
            other => other,
        }
    }

    /// Puts a channel into a bridge; waits behind a playback that runs on it. With `absorb`, its keys reach nobody in the bridge (they
    /// come to us all the same); this holds for this stay alone (`absorbDTMF`).
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn add_to_bridge(
        &self,
        bridge: &BridgeId,
        channel: &ChannelId,
        absorb: bool,
    ) -> Result<(), RequestError> {
        let path = format!("/bridges/{}/addChannel", bridge.segment());
        let body = Add {
            channel: channel.as_str(),
            absorb_dtmf: absorb,
        };
        self.done(Method::POST, &path, Some(body)).await
    }

    /// Takes a channel out of a bridge; it stays ours.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn remove_from_bridge(
        &self,
        bridge: &BridgeId,
        channel: &ChannelId,
    ) -> Result<(), RequestError> {
        let path = format!("/bridges/{}/removeChannel", bridge.segment());
        let body = Remove {
            channel: channel.as_str(),
        };
        self.done(Method::POST, &path, Some(body)).await
    }

    /// Plays the music on hold of a channel's class to it. A playback ends it: ask again behind one.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn start_music(&self, channel: &ChannelId) -> Result<(), RequestError> {
        let path = format!("/channels/{}/moh", channel.segment());
        self.done(Method::POST, &path, None::<()>).await
    }

    /// Ends it.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn stop_music(&self, channel: &ChannelId) -> Result<(), RequestError> {
        let path = format!("/channels/{}/moh", channel.segment());
        self.done(Method::DELETE, &path, None::<()>).await
    }

    /// Sets the state of a device of our own, `Stasis:` and a name.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn set_device_state(
        &self,
        name: &str,
        state: DeviceState,
    ) -> Result<(), RequestError> {
        let path = format!("/deviceStates/{}", encode_segment(name));
        let body = State {
            device_state: state,
        };
        self.done(Method::PUT, &path, Some(body)).await
    }

    /// Names of the devices of all applications. Asterisk keeps them over a restart of its own and of ours.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn devices(&self) -> Result<Vec<String>, RequestError> {
        let all: Vec<Device> = self.get("/deviceStates").await?;
        Ok(all.into_iter().map(|device| device.name).collect())
    }

    /// Forgets a device of our own; one that is not there is no error. Free first: a hint keeps the last state of a device that is
    /// deleted while it is in use, and no queue rings it ever again (measured on Asterisk 22; 16 asks anew).
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn forget_device(&self, name: &str) -> Result<(), RequestError> {
        self.set_device_state(name, DeviceState::NotInuse).await?;
        let path = format!("/deviceStates/{}", encode_segment(name));
        match self.done(Method::DELETE, &path, None::<()>).await {
            Err(RequestError::Gone) => Ok(()),
            other => other,
        }
    }
}
