//! `exedra.metric/1`: the metrics of the manifest.

use exedra_abi::{Host, MetricExt, Slice, Status};

use super::{NAME, guarded, text};

pub(super) static TABLE: MetricExt =
    MetricExt { struct_size: size_of::<MetricExt>() as u32, reserved: 0, record: Some(record) };

unsafe extern "C" fn record(
    host: *const Host,
    metric: u32,
    label: Slice,
    value: f64,
    relative: u32,
) -> Status {
    // SAFETY: the plugin passes its table and lends the label for the call.
    unsafe {
        guarded(host, "metric.record", |instance| {
            let metric = instance.own_metrics.get(metric as usize).ok_or(Status::INVALID)?;
            let taken = value.is_finite() && metric.record(text(label, NAME)?, value, relative != 0);
            if taken { Ok(Status::OK) } else { Err(Status::INVALID) }
        })
    }
}
