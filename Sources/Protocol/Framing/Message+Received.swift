import SwiftProtobuf

extension SwiftProtobuf.Message {
    /// Reads a message from another process. Unknown fields are dropped.
    ///
    /// - Parameters:
    ///   - bytes: the serialised message, whose size was already checked
    ///   - depth: maximum nesting depth
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
