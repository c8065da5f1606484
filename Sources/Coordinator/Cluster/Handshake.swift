import Engine
import Protocol

/// Decides which workers may join.
enum Handshake {
    /// - Returns: the refusal for a worker that may not join, describing both sides
    static func refusal(
        of hello: WorkerMessage.Hello,
        by model: ModelIdentity
    ) -> CoordinatorMessage.Refusal? {
        func refuse(_ reason: String) -> CoordinatorMessage.Refusal {
            CoordinatorMessage.Refusal(model: model, reason: reason)
        }
        if hello.version != protocolVersion {
            return refuse(
                "worker \(hello.name) speaks version \(hello.version) of the protocol, "
                    + "the coordinator version \(protocolVersion)"
            )
        }
        if hello.model.digest != model.digest {
            return refuse(
                "worker \(hello.name) has the model \(hello.model.summary), "
                    + "the coordinator \(model.summary)"
            )
        }
        return nil
    }
}

extension ModelIdentity {
    /// Path and the first digits of the digest.
    package var summary: String { "\(path) (\(digest.prefix(12)))" }
}
