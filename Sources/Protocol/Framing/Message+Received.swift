import SwiftProtobuf

extension SwiftProtobuf.Message {
    /// Reads a message from another process. Fields that this version does not know are dropped.
    ///
    /// - Parameters:
    ///   - bytes: their number was checked before
    ///   - depth: of messages in messages, at most
    /// - Throws: `FrameError.notProtobuf`
    init(received bytes: [UInt8], depth: Int) throws(FrameError) {
        var options = BinaryDecodingOptions()
        options.messageDepthLimit = depth
        options.discardUnknownFields = true
        do {
            self = try Self(serializedBytes: bytes, options: options)
        } catch {
            throw .notProtobuf
        }
    }
}
