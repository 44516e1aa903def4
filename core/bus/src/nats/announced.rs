//! The tasks that answer for announced services. Ended when the bus goes or a service is announced anew.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt, stream::select_all};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::{Client, Subscriber};
use crate::{
    micro::{Service, Verb},
    subject::Subjects,
};

/// One task per announced service, by the service's name.
#[derive(Default)]
pub(super) struct Announced(Mutex<HashMap<String, JoinHandle<()>>>);

impl Announced {
    /// Answers questions about a service from now on.
    pub(super) async fn answer(
        &self,
        client: &Client,
        subjects: &Subjects,
        name: &str,
        service: Arc<Service>,
    ) {
        let mut asked = Vec::new();
        for subject in service.subjects() {
            match client.subscribe(subject).await {
                Ok(questions) => asked.push(questions),
                Err(error) => tracing::warn!(%error, service = name, "the service is not announced"),
            }
        }
        let task = tokio::spawn(present(client.clone(), subjects.clone(), service, asked));
        if let Some(before) = self.0.lock().insert(name.to_owned(), task) {
            before.abort();
        }
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.0.lock().drain().for_each(|(_, task)| task.abort());
    }
}

/// Answers for a service.
async fn present(client: Client, subjects: Subjects, service: Arc<Service>, asked: Vec<Subscriber>) {
    let mut questions = select_all(asked);
    while let Some(question) = questions.next().await {
        let address = question.reply.filter(|address| subjects.is_reply(address));
        let (Some(address), Some(verb)) = (address, Verb::of(&question.subject)) else { continue };
        let answer = Bytes::from(service.answer(verb).to_string());
        if let Err(error) = client.publish(address, answer).await {
            tracing::debug!(%error, "a question about a service was not answered");
        }
    }
}
