import Engine

extension ModelIdentity {
    /// What a worker says that has no model yet, and asks which one is needed.
    package static let none = ModelIdentity(digest: "none", path: "no model yet")
}
