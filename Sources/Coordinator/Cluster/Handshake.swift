import Engine
import Protocol

/// Decides which workers may join.
enum Handshake {
    /// - Returns: the refusal, which describes both sides; nil if the worker may join
    static func refusal(
        of hello: WorkerMessage.Hello,
        by required: WorkerRequirements
    ) -> CoordinatorMessage.Refusal? {
        let model = required.model
        func refuse(_ reason: String) -> CoordinatorMessage.Refusal {
            var refusal = CoordinatorMessage.Refusal(required, reason: reason)
            refusal.version = version(of: hello)
            return refusal
        }
        if let advice = VersionAdvice.advice(worker: hello.version, program: hello.program) {
            return refuse(advice)
        }
        if hello.model.digest != model.digest {
            return refuse(difference(hello.model, required))
        }
        for (flag, wanted, found) in [
            ("--precision", required.precision, hello.precision),
            ("--backend", required.backend, hello.backend),
        ] {
            if let wanted, wanted != found {
                return refuse(
                    "it computes with \(found), the render asks for \(flag) \(wanted)"
                )
            }
        }
        return nil
    }

    /// The protocol version that both sides speak: the lower of the two, or the coordinator's own if they do not
    /// understand each other.
    static func version(of hello: WorkerMessage.Hello) -> UInt32 {
        protocolVersions.contains(hello.version) ? hello.version : protocolVersion
    }

    /// How a worker's model differs, and how to start the worker. The digest covers weights and LoRAs: if the paths are
    /// the same, a file or a LoRA differs.
    private static func difference(
        _ found: ModelIdentity,
        _ required: WorkerRequirements
    ) -> String {
        let model = required.model
        let digests = "(\(found.digest.prefix(12)), not \(model.digest.prefix(12)))"
        let isSamePath = model.path == found.path || model.path.hasSuffix("/\(found.path)")
        guard found != .none else { return "it has no model yet, the coordinator \(model.summary)" }
        let start =
            isSamePath
            ? "it has \(model.path) with other weights or LoRAs than the coordinator \(digests)"
            : "it has the model \(found.summary), the coordinator \(model.summary)"
        guard required.loras.isEmpty else {
            let flags = ShellWords.join(required.loras.flatMap { ["--lora", $0] })
            return start + (isSamePath ? ": start it with " : " with ") + flags
        }
        return start
            + (isSamePath ? ": start it without --lora, and compare the files of both" : "")
    }
}

extension ModelIdentity {
    /// Path and first digits of the digest.
    package var summary: String { "\(path) (\(digest.prefix(12)))" }
}
