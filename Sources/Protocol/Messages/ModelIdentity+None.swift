import Engine

extension ModelIdentity {
    /// Announced by a worker that has no model yet and asks which one it needs.
    package static let none = ModelIdentity(digest: "none", path: "no model yet")
}
