import Engine
import Foundation

/// A worker's request for chunks of a file, or for a model's catalogue.
package struct ChunkRequest: Equatable, Sendable {
    package let digest: ModelCatalogue.Digest
    package let chunks: [Int]
    /// The sender's addresses, if it wants to be told of neighbours.
    package let addresses: [LANAddress]

    package init(
        _ digest: ModelCatalogue.Digest,
        _ chunks: [Int],
        addresses: [LANAddress] = []
    ) {
        (self.digest, self.chunks, self.addresses) = (digest, chunks, addresses)
    }

    /// Maximum number of chunks in one request.
    package static let maxChunks = 16
}

/// The answer about one chunk.
package struct ChunkAnswer: Equatable, Sendable {
    package enum Content: Equatable, Sendable {
        case bytes([UInt8])
        /// The chunk is being prepared: ask again.
        case later
        /// The chunk cannot be sent; the reason.
        case refused(String)
    }

    package let digest: ModelCatalogue.Digest
    package let chunk: Int
    package let content: Content
    /// Other machines that serve the model; sent with its catalogue.
    package var neighbours: [Neighbour] = []

    package init(_ digest: ModelCatalogue.Digest, _ chunk: Int, _ content: Content) {
        (self.digest, self.chunk, self.content) = (digest, chunk, content)
    }
}

extension ChunkRequest {
    init(_ wire: WireFetch) throws(FrameError) {
        guard let digest = ModelCatalogue.Digest(bytes: Array(wire.digest)),
            (1...Self.maxChunks).contains(wire.chunks.count)
        else { throw .field("fetch") }
        self.init(
            digest,
            wire.chunks.map { Int($0) },
            addresses: try LANAddress.list(wire.addresses)
        )
    }
}

extension ChunkAnswer {
    /// The frames of the message.
    var frames: [[UInt8]] {
        var envelope = WireEnvelope()
        var file: [UInt8]?
        envelope.chunk = .with {
            $0.digest = Data(digest.bytes)
            $0.chunk = UInt32(chunk)
            switch content {
            case .bytes(let bytes): file = bytes
            case .later: $0.later = true
            case .refused(let reason): $0.refusal = reason
            }
            $0.neighbours = neighbours.map(\.wire)
        }
        return FrameCodec.frames(envelope, file: file)
    }

    init(_ wire: WireChunk, _ frames: ArraySlice<[UInt8]>) throws(FrameError) {
        guard let digest = ModelCatalogue.Digest(bytes: Array(wire.digest)) else {
            throw .field("chunk.digest")
        }
        let content: Content
        if wire.later {
            content = .later
        } else if let bytes = frames.first {
            content = .bytes(bytes)
        } else {
            content = .refused(printable(wire.refusal, limit: 300))
        }
        self.init(digest, Int(wire.chunk), content)
        guard wire.neighbours.count <= Neighbour.maxCount else { throw .field("chunk.neighbours") }
        for neighbour in wire.neighbours { neighbours.append(try Neighbour(neighbour)) }
    }
}
