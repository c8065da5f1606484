import Engine
import Foundation
import Hummingbird

extension ByteBuffer {
    /// Formats a server-sent event.
    static func event(_ name: String, id: Int? = nil, _ data: JSON) -> ByteBuffer {
        var buffer = ByteBuffer()
        if let id { buffer.writeString("id: \(id)\n") }
        buffer.writeString("event: \(name)\ndata: ")
        buffer.writeBytes(data.answer)
        buffer.writeString("\n\n")
        return buffer
    }
}
