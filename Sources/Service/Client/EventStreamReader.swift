import Engine

/// Parses server-sent events as their bytes arrive (HTML Living Standard, 9.2). Pure.
package struct EventStreamReader {
    package struct Event: Equatable, Sendable {
        package let kind: String
        package let data: JSON
    }

    private var line: [UInt8] = []
    private var kind = ""
    private var data = ""
    /// Maximum bytes of a line and of an event's data.
    private static let longest = 1 << 20

    package init() {}

    /// - Parameter bytes: the next bytes of the stream
    /// - Returns: the events that they complete; events without data are skipped
    /// - Throws: `InputError` if data is not JSON or too long
    package mutating func take(_ bytes: some Sequence<UInt8>) throws(InputError) -> [Event] {
        var events: [Event] = []
        for byte in bytes {
            guard byte == UInt8(ascii: "\n") else {
                line.append(byte)
                guard line.count + data.utf8.count <= Self.longest else {
                    throw InputError("an event", "it has no end", fix: "Update tessera")
                }
                continue
            }
            if line.last == UInt8(ascii: "\r") { line.removeLast() }
            let text = String(decoding: line, as: UTF8.self)
            line = []
            if let event = try take(line: text) { events.append(event) }
        }
        return events
    }

    private mutating func take(line: String) throws(InputError) -> Event? {
        guard !line.isEmpty else {
            defer { (kind, data) = ("", "") }
            guard !data.isEmpty else { return nil }
            return Event(kind: kind, data: try JSON(data.utf8, place: "an event"))
        }
        let colon = line.firstIndex(of: ":") ?? line.endIndex
        var value = line[colon...].dropFirst()
        if value.hasPrefix(" ") { value.removeFirst() }
        switch line[..<colon] {
        case "event": kind = String(value)
        case "data": data += (data.isEmpty ? "" : "\n") + value
        default: break
        }
        return nil
    }
}
