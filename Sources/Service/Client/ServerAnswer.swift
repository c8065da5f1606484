import Foundation
import NIOCore
import NIOHTTP1
import Protocol
import Synchronization

/// A service's response, read as it arrives. For one thread, which blocks.
package final class ServerAnswer: Sendable {
    enum Part: Sendable {
        case head(status: Int, length: Int?)
        case body(ByteBuffer)
        case end
        case failed(String)
    }

    package let status: Int
    /// Length of the body in bytes, if the service says so.
    package let length: Int?
    private let channel: any Channel
    private let reader: AnswerReader
    private let place: String

    /// Timeout for silence in seconds: a service writes to open event streams every ten.
    private static let patience = 60.0

    /// Waits for the head of the response.
    ///
    /// - Throws: `ServiceClientError`
    init(_ reader: AnswerReader, _ channel: any Channel, place: String) throws {
        (self.reader, self.channel, self.place) = (reader, channel, place)
        switch Self.next(reader) {
        case .head(let status, let length): (self.status, self.length) = (status, length)
        case .failed(let reason):
            channel.close(promise: nil)
            throw ServiceClientError.unreachable(place, reason: reason)
        case .body, .end:
            channel.close(promise: nil)
            throw ServiceClientError.foreign(place)
        }
    }

    deinit { channel.close(promise: nil) }

    private static func next(_ reader: AnswerReader) -> Part {
        reader.parts.take(before: .now + .seconds(patience))
            ?? .failed("it has been silent for \(Int(patience)) seconds")
    }

    /// The next bytes; nil at the end of the body.
    ///
    /// - Throws: `ServiceClientError` if the connection failed
    package func next() throws -> [UInt8]? {
        switch Self.next(reader) {
        case .body(let buffer):
            reader.took(buffer.readableBytes, of: channel)
            return Array(buffer.readableBytesView)
        case .end: return nil
        case .head: return []
        case .failed(let reason):
            throw ServiceClientError.unreachable(place, reason: reason)
        }
    }

    /// Reads the whole body.
    ///
    /// - Throws: `ServiceClientError` if the connection failed, or the body is larger than any that a service sends
    package func all() throws -> [UInt8] {
        var bytes: [UInt8] = []
        while let piece = try next() {
            bytes += piece
            guard bytes.count <= Self.longest else { throw ServiceClientError.foreign(place) }
        }
        return bytes
    }

    /// Maximum bytes of a body that is kept in memory; a page of a thousand jobs has a few megabytes.
    private static let longest = 256 << 20
}

/// Passes received data to the waiting thread.
final class AnswerReader: ChannelInboundHandler, Sendable {
    typealias InboundIn = HTTPClientResponsePart

    let parts = BlockingQueue<ServerAnswer.Part>()
    /// Bytes that were received but not consumed yet.
    private let waiting = Mutex(0)
    private let isOver = Mutex(false)

    /// Unconsumed bytes above which reading pauses: a picture may be larger than the memory.
    private static let most = 8 << 20

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            // Skip informational responses.
            guard head.status.code >= 200 else { return }
            let length = head.headers.first(name: "content-length").flatMap { Int($0) }
            parts.put(.head(status: Int(head.status.code), length: length))
        case .body(let buffer):
            let isFull = waiting.withLock { waiting in
                waiting += buffer.readableBytes
                return waiting > Self.most
            }
            parts.put(.body(buffer))
            if isFull { _ = context.channel.setOption(.autoRead, value: false) }
        case .end: finish(.end)
        }
    }

    /// - Parameters:
    ///   - count: number of bytes consumed
    ///   - channel: the channel that they came from
    func took(_ count: Int, of channel: any Channel) {
        let wasFull = waiting.withLock { waiting in
            defer { waiting -= count }
            return waiting > Self.most / 2 && waiting - count <= Self.most / 2
        }
        if wasFull { _ = channel.setOption(.autoRead, value: true) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        finish(.failed(ServiceClient.reason(error)))
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        finish(.failed("the connection was closed"))
        context.fireChannelInactive()
    }

    /// Only the first end is passed on.
    private func finish(_ part: ServerAnswer.Part) {
        let isFirst = isOver.withLock { isOver in
            defer { isOver = true }
            return !isOver
        }
        if isFirst { parts.put(part) }
    }
}
