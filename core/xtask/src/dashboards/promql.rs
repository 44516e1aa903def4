//! Expressions of PromQL, each with the reader's choice of jobs and instances in every selector.
//!
//! Sums are always over chosen labels and rates always over Grafana's own interval: a window that is shorter than two
//! scrapes shows nothing, and one that is longer than a step hides what happened.

/// What limits every selector to the jobs and instances that the reader has chosen.
const CHOSEN: &str = r#"job=~"$job", instance=~"$instance""#;

/// The selector of a metric; `labels` are further matchers.
pub(crate) fn of(metric: &str, labels: &str) -> String {
    let comma = if labels.is_empty() { "" } else { ", " };
    format!("{metric}{{{CHOSEN}{comma}{labels}}}")
}

/// A counter's rate, summed by labels; without labels it is one number.
pub(crate) fn rate(metric: &str, labels: &str, by: &str) -> String {
    sum(&format!("rate({}[$__rate_interval])", of(metric, labels)), by)
}

/// What a counter has grown by over the range that the reader looks at, summed by labels.
pub(crate) fn grown(metric: &str, labels: &str, by: &str) -> String {
    sum(&format!("increase({}[$__range])", of(metric, labels)), by)
}

/// A gauge, summed by labels.
pub(crate) fn gauge(metric: &str, labels: &str, by: &str) -> String {
    sum(&of(metric, labels), by)
}

/// A histogram's quantile, by labels.
pub(crate) fn quantile(quantile: f64, histogram: &str, labels: &str, by: &str) -> String {
    format!("histogram_quantile({quantile}, {})", buckets(histogram, labels, by))
}

/// A histogram's buckets as rates.
pub(crate) fn buckets(histogram: &str, labels: &str, by: &str) -> String {
    let by = if by.is_empty() { "le".to_owned() } else { format!("{by}, le") };
    rate(&format!("{histogram}_bucket"), labels, &by)
}

/// What one observation of a histogram was, on average.
pub(crate) fn mean(histogram: &str, labels: &str, by: &str) -> String {
    let part = |end: &str| rate(&format!("{histogram}_{end}"), labels, by);
    format!("{} / {}", part("sum"), part("count"))
}

fn sum(inner: &str, by: &str) -> String {
    if by.is_empty() { format!("sum({inner})") } else { format!("sum by ({by}) ({inner})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_carry_choice() {
        assert_eq!(of("up", ""), r#"up{job=~"$job", instance=~"$instance"}"#);
        assert_eq!(of("up", r#"a="b""#), r#"up{job=~"$job", instance=~"$instance", a="b"}"#);
    }

    #[test]
    fn quantiles_keep_their_labels() {
        let expression = quantile(0.5, "x_seconds", "", "plugin");
        assert!(
            expression.starts_with("histogram_quantile(0.5, sum by (plugin, le) (rate(x_seconds_bucket{")
        );
    }

    #[test]
    fn sums_without_labels_are_one() {
        assert!(rate("x_total", "", "").starts_with("sum(rate(x_total{"));
        assert!(mean("x_seconds", "", "kind").contains(") / sum by (kind) (rate(x_seconds_count{"));
    }
}
