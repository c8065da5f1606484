import Engine
import Protocol

/// Decides which workers may join.
enum Handshake {
    /// - Returns: the refusal for a worker that may not join, describing both sides
    static func refusal(
        of hello: WorkerMessage.Hello,
        by required: WorkerRequirements
    ) -> CoordinatorMessage.Refusal? {
        let model = required.model
        func refuse(_ reason: String) -> CoordinatorMessage.Refusal {
            CoordinatorMessage.Refusal(required, reason: reason)
        }
        if hello.version != protocolVersion {
            return refuse(
                "it speaks version \(hello.version) of the protocol, "
                    + "the coordinator version \(protocolVersion)"
            )
        }
        if hello.model.digest != model.digest {
            return refuse(
                "it has the model \(hello.model.summary), "
                    + "the coordinator \(model.summary)"
            )
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
}

extension ModelIdentity {
    /// Path and the first digits of the digest.
    package var summary: String { "\(path) (\(digest.prefix(12)))" }
}
