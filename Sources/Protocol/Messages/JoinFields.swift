import Foundation

/// The coordinator's answer to a machine that wants to join.
package struct JoinAnswer: Equatable, Sendable {
    package var version = protocolVersion
    /// The coordinator's version of Tessera.
    package var program = tesseraVersion
    package var outcome: Outcome

    package enum Outcome: Equatable, Sendable {
        /// The machine is now on the list, under this name.
        case joined(name: String)
        case refused(String)
    }

    package init(_ outcome: Outcome) {
        self.outcome = outcome
    }
}

extension JoinRequest {
    init(_ wire: WireJoin) throws(FrameError) {
        guard let key = PublicKey(bytes: Array(wire.key)) else { throw .field("join.key") }
        self.init(key: key, name: printable(wire.name, limit: 64))
        version = wire.protocolVersion
        program = printable(wire.version, limit: 32)
    }
}

extension WireJoin {
    init(_ request: JoinRequest) {
        self.init()
        protocolVersion = request.version
        version = request.program
        key = Data(request.key.bytes)
        name = request.name
    }
}

extension JoinAnswer {
    init(_ wire: WireJoined) {
        outcome =
            wire.name.isEmpty
            ? .refused(printable(wire.refusal, limit: 300))
            : .joined(name: printable(wire.name, limit: 64))
        version = wire.protocolVersion
        program = printable(wire.version, limit: 32)
    }
}

extension WireJoined {
    init(_ answer: JoinAnswer) {
        self.init()
        protocolVersion = answer.version
        version = answer.program
        switch answer.outcome {
        case .joined(let name): self.name = name
        case .refused(let reason): refusal = reason
        }
    }
}
