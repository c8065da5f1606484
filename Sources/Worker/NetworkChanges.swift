import Engine
import Protocol

/// How a worker that stays after a refusal can change its networks.
package protocol NetworkChanges: Sendable {
    /// Loads the networks that a coordinator requires; the current ones are unloaded first.
    ///
    /// - Throws: an error that says what is missing on this host
    func networks(
        _ present: any ModelNetworks,
        for required: WorkerRequirements
    ) throws -> any ModelNetworks

    /// Whether these networks are used for the current coordinator only.
    func isTemporary(_ networks: any ModelNetworks) -> Bool

    /// Networks for the next coordinator; nil to keep the current ones.
    func restored(_ present: any ModelNetworks) -> (any ModelNetworks)?
}

/// Changes to another model, precision or backend, from files on this host.
///
/// The worker loads its own model's files, or those at the path that the coordinator names; in either case only if
/// their digest is the required one, and the latter only if the connection is authenticated. Otherwise anybody who can
/// listen at the coordinator's address could make the worker read any file.
package struct ModelFileChanges: NetworkChanges {
    /// Path of the worker's own model.
    private let path: String
    private let options: ModelOptions
    /// Engine options for a backend and a precision; nil stands for the worker's own.
    private let engine: @Sendable (BackendKind?, Precision?) -> EngineOptions
    /// Whether the connection authenticates the coordinator.
    private let isAuthenticated: Bool
    /// Fetches models that this host lacks; nil to fetch nothing.
    private let fetcher: ModelFetcher?

    /// - Parameters:
    ///   - path: path of the worker's own model
    ///   - options: options of that model
    ///   - isAuthenticated: whether the connection authenticates the coordinator
    ///   - fetcher: fetches models that this host lacks; nil to fetch nothing
    ///   - engine: engine options for a backend and a precision; nil stands for the worker's own
    package init(
        path: String,
        options: ModelOptions,
        isAuthenticated: Bool,
        fetcher: ModelFetcher? = nil,
        engine: @escaping @Sendable (BackendKind?, Precision?) -> EngineOptions
    ) {
        (self.path, self.options) = (path, options)
        (self.engine, self.isAuthenticated) = (engine, isAuthenticated)
        self.fetcher = fetcher
    }

    package func networks(
        _ present: any ModelNetworks,
        for required: WorkerRequirements
    ) throws -> any ModelNetworks {
        let engine = try engine(required)
        let model = try model(present, required)
        present.unload()
        let networks = LoadedNetworks(
            model,
            identity: ModelIdentity(digest: required.model.digest, path: model.path),
            options: engine,
            batch: (present as? LoadedNetworks)?.batch
        )
        try networks.load()
        return networks
    }

    package func isTemporary(_ networks: any ModelNetworks) -> Bool {
        let own = engine(nil, nil)
        return networks.backend != own.backend.rawValue
            || networks.precision != own.precision.rawValue
    }

    package func restored(_ present: any ModelNetworks) -> (any ModelNetworks)? {
        guard isTemporary(present), let present = present as? LoadedNetworks else { return nil }
        present.unload()
        return LoadedNetworks(
            present.model,
            identity: present.identity,
            options: engine(nil, nil),
            batch: present.batch
        )
    }

    private struct KeysMissing: Error, CustomStringConvertible {
        var description: String { "without keys it loads only its own model" }
    }

    private func engine(_ required: WorkerRequirements) throws(InputError) -> EngineOptions {
        func value<Value: RawRepresentable<String>>(
            _ name: String?,
            _ flag: String
        ) throws(InputError) -> Value? {
            guard let name else { return nil }
            guard let value = Value(rawValue: name) else {
                throw InputError(
                    "\(flag) \(name)",
                    "this version of Tessera does not have it",
                    fix: "Use the coordinator's version"
                )
            }
            return value
        }
        let options = engine(
            try value(required.backend, "--backend"),
            try value(required.precision, "--precision")
        )
        try options.check()
        return options
    }

    /// The required model, if this host has it or can fetch it.
    private func model(
        _ present: any ModelNetworks,
        _ required: WorkerRequirements
    ) throws -> Model {
        if present.identity.digest == required.model.digest,
            let present = present as? LoadedNetworks
        {
            return present.model
        }
        // The worker's own model may have been replaced by the coordinator's since the worker was started.
        if let own = try? checked(path, options, required) { return own }
        guard isAuthenticated else {
            throw KeysMissing()
        }
        do {
            return try onThisHost(required)
        } catch {
            guard let fetcher else { throw error }
            // Never cancelled: a worker that is stopped meanwhile exits its process.
            guard let model = try fetcher.model(required.model.digest, Cancellation()) else {
                throw error
            }
            try model.check(ModelNeeds(encoder: nil, texts: false))
            return model
        }
    }

    /// The model at the path where the coordinator's host has it.
    private func onThisHost(_ required: WorkerRequirements) throws -> Model {
        guard required.model.path.hasPrefix("/") else {
            throw InputError(required.model.path, "it is not an absolute path", fix: "Name one")
        }
        return try checked(required.model.path, try required.modelOptions(), required)
    }

    /// Opens a model, if it is the required one.
    private func checked(
        _ path: String,
        _ options: ModelOptions,
        _ required: WorkerRequirements
    ) throws -> Model {
        let model = try Model(path: path, options: options)
        let found = try model.digest()
        guard found == required.model.digest else {
            throw InputError(
                path,
                "its digest is \(found.prefix(12)) on this host, the coordinator's "
                    + "\(required.model.digest.prefix(12))",
                fix: "Copy the coordinator's files"
            )
        }
        try model.check(ModelNeeds(encoder: nil, texts: false))
        return model
    }
}
