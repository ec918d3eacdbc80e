/// How long the lists in a request may be: a longer one is malformed. What costs more than its part of the message, in time or in
/// memory, stays bounded by these.
public enum RequestLimits {
  /// Attributes of a template, those of templates within it included, and types that are asked for: more than the specification has.
  public static let attributes = 1024
  /// Sessions that are closed.
  public static let sessions = 1 << 14
  /// Samples of a batch.
  public static let samples = 1 << 16
}
