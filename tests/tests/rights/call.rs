//! Calls by descriptor: one codec for every method, so that a call is data.

use std::time::Duration;

use bytes::{Buf as _, BufMut as _};
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor};
use tally_tests::harness::Channels;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// Longer than any call of the matrix; a stream that stays open is a mistake of
/// its request.
const CALL_DEADLINE: Duration = Duration::from_secs(30);

/// What a call came to.
pub enum Outcome {
    /// All that was answered.
    Answered(Vec<DynamicMessage>),
    /// How it was refused, or a stream ended.
    Refused(Status),
}

/// The path of a method.
pub fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

/// Makes a call with these messages and takes in everything that is answered.
/// On the wire a single message is a stream of one, so one form serves all.
pub async fn call(
    channels: &Channels,
    method: &MethodDescriptor,
    messages: &[serde_json::Value],
) -> Outcome {
    let messages: Vec<DynamicMessage> = messages
        .iter()
        .map(|json| {
            DynamicMessage::deserialize(method.input(), json.clone())
                .unwrap_or_else(|error| panic!("{}: {error}", method.full_name()))
        })
        .collect();
    let channel = channels.to(method.full_name());
    let answered = tokio::time::timeout(CALL_DEADLINE, answers(channel, method, messages));
    match answered.await {
        Ok(Ok(messages)) => Outcome::Answered(messages),
        Ok(Err(status)) => Outcome::Refused(status),
        Err(_) => panic!("{} did not end", method.full_name()),
    }
}

async fn answers(
    channel: &Channel,
    method: &MethodDescriptor,
    messages: Vec<DynamicMessage>,
) -> Result<Vec<DynamicMessage>, Status> {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::try_from(path(method)).expect("a path");
    let codec = ByDescriptor(method.output());
    let request = Request::new(tokio_stream::iter(messages));
    let mut stream = grpc.streaming(request, path, codec).await?.into_inner();
    let mut answers = Vec::new();
    while let Some(answer) = stream.message().await? {
        answers.push(answer);
    }
    Ok(answers)
}

/// Decodes messages of that descriptor; encodes any.
#[derive(Clone)]
struct ByDescriptor(MessageDescriptor);

impl Codec for ByDescriptor {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = ByDescriptor;
    type Decoder = ByDescriptor;

    fn encoder(&mut self) -> ByDescriptor {
        self.clone()
    }

    fn decoder(&mut self) -> ByDescriptor {
        self.clone()
    }
}

impl Encoder for ByDescriptor {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, item: DynamicMessage, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item.encode_to_vec());
        Ok(())
    }
}

impl Decoder for ByDescriptor {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        DynamicMessage::decode(self.0.clone(), bytes)
            .map(Some)
            .map_err(|error| Status::data_loss(error.to_string()))
    }
}
