import Engine

/// What a coordinator requires of its workers. Sent in a refusal, so that the worker can change to it.
package struct WorkerRequirements: Equatable, Sendable {
    /// The model, and its path on the coordinator's host.
    package var model: ModelIdentity
    /// LoRA files that are merged into it, `PATH:WEIGHT` each.
    package var loras: [String] = []
    /// The folder with its configs; nil if they are the model's own.
    package var modelConfig: String?
    /// Parts of the model that come from elsewhere.
    package var parts = ModelParts()
    /// Names of the numerical backend and the precision, as on the command line; nil accepts any.
    package var backend: String?
    package var precision: String?

    package init(model: ModelIdentity) {
        self.model = model
    }

    /// The options for opening the model on the coordinator's host.
    ///
    /// - Throws: `InputError` if a weight or a share is not a number
    package func modelOptions() throws(InputError) -> ModelOptions {
        var options = ModelOptions()
        options.config = modelConfig
        (options.vae, options.base) = (parts.vae, parts.base)
        options.refiner = try parts.refiner.map { argument throws(InputError) in
            try RefinerSource(argument: argument)
        }
        for lora in loras { options.loras.append(try LoRASource(argument: lora)) }
        return options
    }

    /// One line that identifies these requirements.
    package var summary: String {
        "\(model.digest) \(backend ?? "any") \(precision ?? "any")"
    }

    /// Maximum length of a path on the wire, in characters.
    private static let maxPathLength = 1000
    /// Maximum number of LoRA files on the wire.
    private static let maxLoRAs = 64

    init(_ wire: WireRefusal) throws(FrameError) {
        let digest = try ModelIdentity(wire.model).digest
        self.init(
            model: ModelIdentity(
                digest: digest,
                path: printable(wire.model.path, limit: Self.maxPathLength)
            )
        )
        guard wire.loras.count <= Self.maxLoRAs else { throw .field("refusal.loras") }
        func optional(_ text: String, limit: Int) -> String? {
            text.isEmpty ? nil : printable(text, limit: limit)
        }
        loras = wire.loras.map { printable($0, limit: Self.maxPathLength) }
        modelConfig = optional(wire.modelConfig, limit: Self.maxPathLength)
        parts.vae = optional(wire.vae, limit: Self.maxPathLength)
        parts.base = optional(wire.base, limit: Self.maxPathLength)
        parts.refiner = optional(wire.refiner, limit: Self.maxPathLength)
        backend = optional(wire.backend, limit: 32)
        precision = optional(wire.precision, limit: 32)
    }
}

/// Parts of a model that come from other files than its own: the values of the flags.
package struct ModelParts: Equatable, Sendable {
    package var vae: String?
    package var base: String?
    /// The refiner, followed by its share of the schedule.
    package var refiner: String?

    package init(vae: String? = nil, base: String? = nil, refiner: String? = nil) {
        (self.vae, self.base, self.refiner) = (vae, base, refiner)
    }

    /// Names and values of the flags that were given.
    package var flags: [(name: String, value: String)] {
        [("vae", vae), ("base", base), ("refiner", refiner)].compactMap { name, value in
            value.map { (name, $0) }
        }
    }
}

extension WireRefusal {
    init(_ refusal: CoordinatorMessage.Refusal) {
        self.init()
        let required = refusal.required
        protocolVersion = refusal.version
        version = refusal.program
        model = WireModelIdentity(required.model)
        reason = refusal.reason
        loras = required.loras
        modelConfig = required.modelConfig ?? ""
        vae = required.parts.vae ?? ""
        base = required.parts.base ?? ""
        refiner = required.parts.refiner ?? ""
        backend = required.backend ?? ""
        precision = required.precision ?? ""
    }
}
