import Engine
import Foundation

// Fields shared by several messages.

extension EmbeddingDigest {
    init(wire data: Data, field: String) throws(FrameError) {
        guard let digest = EmbeddingDigest(bytes: Array(data)) else { throw .field(field) }
        self = digest
    }

    var data: Data { Data(bytes) }
}

extension ModelIdentity {
    init(_ wire: WireModelIdentity) throws(FrameError) {
        guard !wire.digest.isEmpty, wire.digest.utf8.count <= 128 else {
            throw .field("model.digest")
        }
        self.init(digest: printable(wire.digest), path: printable(wire.path))
    }
}

extension WireModelIdentity {
    init(_ identity: ModelIdentity) {
        self.init()
        digest = identity.digest
        path = identity.path
    }
}

extension GoodbyeReason {
    init(_ wire: WireGoodbye) throws(FrameError) {
        switch wire.reason {
        case .leaving: self = .leaving
        case .unknown: self = .unknown
        case .removed: self = .removed
        case .unspecified, .UNRECOGNIZED: throw .field("goodbye.reason")
        }
    }
}

extension WireGoodbye {
    init(_ reason: GoodbyeReason) {
        self.init()
        self.reason =
            switch reason {
            case .leaving: .leaving
            case .unknown: .unknown
            case .removed: .removed
            }
    }
}

extension [Tensor] {
    func expect(_ count: Int) throws(FrameError) {
        guard self.count == count else { throw .tensorCount(self.count) }
    }
}
