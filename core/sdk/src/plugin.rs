//! What `#[plugin]` implements, and how a handler is run to its end.

use std::{
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use exedra_abi::kind;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    Error, Hub, Result, answer::Outcome, args::without_place, call::Call, log, manifest::Manifest, schema,
};

/// A future in a box, as tasks need it.
pub type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A plugin. Written by `#[plugin]`, not by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no plugin",
    note = "put `#[plugin(...)]` on its `impl` block"
)]
pub trait Plugin: Sized + Send + Sync + 'static {
    /// The name, as in `[plugins.NAME]`.
    const NAME: &'static str;
    /// Whether [`Plugin::reject`] says anything.
    const SHAPES: bool = false;
    /// What stands in `[plugins.NAME.settings]`.
    type Settings: Default + DeserializeOwned + JsonSchema;

    /// Everything but the settings' schema.
    fn manifest(settings: &Self::Settings) -> Manifest;
    /// `new`.
    #[expect(clippy::missing_errors_doc, reason = "whatever the plugin says")]
    fn create(settings: Self::Settings, hub: Hub) -> Result<Self>;
    /// Takes the arguments and begins the handler.
    #[expect(clippy::missing_errors_doc, reason = "whatever the extractors say")]
    fn call(this: &Arc<Self>, call: &Call<'_>) -> Result<Boxed<Outcome>>;
    /// `#[start]`.
    fn start(_this: &Arc<Self>) -> Boxed<Result<()>> {
        Box::pin(ready(Ok(())))
    }
    /// `#[reject]`.
    fn reject(&self, _event: &str, _error: &Error) -> Option<Value> {
        None
    }
}

/// What `new` has made, whatever its error type.
#[doc(hidden)]
pub fn made<P, E: Into<Error>>(made: Result<P, E>) -> Result<P> {
    made.map_err(Into::into)
}

/// For plugins whose `new` takes no settings.
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// Settings from JSON; none at all is the default.
pub(crate) fn settings_of<P: Plugin>(json: &[u8]) -> Result<P::Settings> {
    let wrong = |error: serde_json::Error| Error::invalid(format!("settings: {}", without_place(&error)));
    let value = if json.is_empty() { Value::Null } else { serde_json::from_slice(json).map_err(wrong)? };
    if value.is_null() {
        return Ok(P::Settings::default());
    }
    serde_json::from_value(value).map_err(wrong)
}

/// The whole manifest.
pub(crate) fn manifest_of<P: Plugin>(settings: &P::Settings) -> Result<Manifest> {
    let mut manifest = P::manifest(settings);
    manifest.settings = Some(schema::read_schema::<P::Settings>());
    if manifest.timers.iter().any(|timer| timer.every_ms == 0) {
        return Err(Error::invalid("settings: a repeated call needs a time above zero"));
    }
    Ok(manifest)
}

pub(crate) fn wake_up<P: Plugin>(plugin: &Arc<P>) -> Boxed<Result<()>> {
    P::start(plugin)
}

/// The rest of a handler, and what shapes its error.
pub(crate) struct Finish {
    work: Result<Boxed<Outcome>, Option<Error>>,
    plugin: &'static str,
    shape: Option<Shape>,
}

type Shape = Box<dyn Fn(&Error) -> Option<Value> + Send>;

impl Finish {
    pub(crate) fn begin<P: Plugin>(plugin: &Arc<P>, call: &Call<'_>) -> Self {
        let work = P::call(plugin, call).map_err(Some);
        let shape = (P::SHAPES && call.kind == kind::EVENT).then(|| -> Shape {
            let (plugin, event) = (Arc::clone(plugin), call.name.to_owned());
            Box::new(move |error| plugin.reject(&event, error))
        });
        Self { work, plugin: P::NAME, shape }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let outcome = match &mut self.work {
            Ok(future) => std::task::ready!(future.as_mut().poll(cx)),
            Err(error) => {
                Err(error.take().unwrap_or_else(|| Error::internal("a handler was polled after its end")))
            }
        };
        Poll::Ready(outcome.map_err(|error| self.told(error)))
    }

    /// The error as it leaves: its detail in the log, its body in the plugin's shape.
    fn told(&self, mut error: Error) -> Error {
        if let Some(detail) = error.detail() {
            log::write(1, self.plugin, format_args!("{}: {detail}", error.code_str()));
        }
        if error.body.is_none()
            && let Some(shape) = &self.shape
        {
            error.body = shape(&error).map(Box::new);
        }
        error
    }
}
