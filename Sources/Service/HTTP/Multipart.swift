import Foundation

/// A form with files as sent by browsers and other clients: `multipart/form-data` (RFC 7578). Pure.
package struct MultipartForm: Equatable, Sendable {
    package struct Part: Equatable, Sendable {
        package let name: String
        /// The file name given by the client; nil for a plain value.
        package let fileName: String?
        package let content: ArraySlice<UInt8>

        /// The content as text; nil if it is not UTF-8.
        package var text: String? { String(validating: content, as: UTF8.self) }
    }

    /// What is wrong with a malformed form.
    package struct Malformed: Error, Equatable, CustomStringConvertible {
        package let description: String
    }

    package let parts: [Part]

    /// Maximum number of parts of a form.
    package static let maxParts = 100
    /// Maximum bytes of the headers of one part.
    private static let maxHeader = 4096

    /// Parses a form.
    ///
    /// - Parameters:
    ///   - body: body of the request
    ///   - type: value of the Content-Type header, which contains the boundary
    /// - Throws: `Malformed`
    package init(_ body: [UInt8], type: String) throws(Malformed) {
        guard let boundary = Self.boundary(of: type) else {
            throw Malformed(description: "the header Content-Type names no boundary")
        }
        // The first delimiter may be at the very beginning, all others follow a line break.
        let delimiter = Array("\r\n--\(boundary)".utf8)
        let text = Array("\r\n".utf8) + body
        guard var at = Self.find(delimiter, in: text, from: 0) else {
            throw Malformed(description: "the form has no part")
        }
        var parts: [Part] = []
        while true {
            at += delimiter.count
            if text[at...].starts(with: "--".utf8) { break }
            // Spaces and tabs may follow the boundary.
            while at < text.count, text[at] == 0x20 || text[at] == 0x09 { at += 1 }
            guard text[at...].starts(with: "\r\n".utf8) else {
                throw Malformed(description: "a boundary of the form is followed by other text")
            }
            guard let end = Self.find(delimiter, in: text, from: at) else {
                throw Malformed(description: "the form ends within a part")
            }
            parts.append(try Self.part(text[(at + 2)..<max(at + 2, end)]))
            guard parts.count <= Self.maxParts else {
                throw Malformed(description: "the form has more than \(Self.maxParts) parts")
            }
            at = end
        }
        self.parts = parts
    }

    /// The first part with this name.
    package subscript(name: String) -> Part? { parts.first { $0.name == name } }

    /// The `boundary` parameter of `multipart/form-data; boundary="…"`.
    private static func boundary(of type: String) -> String? {
        let fields = type.split(separator: ";").map { $0.trimming() }
        guard fields.first?.lowercased() == "multipart/form-data" else { return nil }
        for field in fields.dropFirst() where field.lowercased().hasPrefix("boundary=") {
            var value = field.dropFirst("boundary=".count)
            if value.count >= 2, value.hasPrefix("\""), value.hasSuffix("\"") {
                value = value.dropFirst().dropLast()
            }
            return (1...70).contains(value.utf8.count) ? String(value) : nil
        }
        return nil
    }

    private static func part(_ text: ArraySlice<UInt8>) throws(Malformed) -> Part {
        let blank = Array("\r\n\r\n".utf8)
        guard let length = find(blank, in: Array(text.prefix(maxHeader)), from: 0) else {
            throw Malformed(description: "a part of the form has no end of its headers")
        }
        let end = text.startIndex + length
        guard let header = String(validating: text[text.startIndex..<end], as: UTF8.self) else {
            throw Malformed(description: "a header of the form is not UTF-8")
        }
        var (name, fileName): (String?, String?) = (nil, nil)
        for line in header.components(separatedBy: "\r\n") {
            guard line.lowercased().hasPrefix("content-disposition:") else { continue }
            let fields = disposition(line.dropFirst("content-disposition:".count))
            (name, fileName) = (fields["name"], fields["filename"])
        }
        guard let name, !name.isEmpty else {
            throw Malformed(description: "a part of the form has no name")
        }
        return Part(name: name, fileName: fileName, content: text[(end + blank.count)...])
    }

    /// The parameters of `form-data; name="…"; filename="…"`.
    private static func disposition(_ text: Substring) -> [String: String] {
        var fields: [String: String] = [:]
        var (key, value, isQuoted, isValue) = ("", "", false, false)
        func end() {
            if isValue { fields[key.trimming().lowercased()] = value }
            (key, value, isValue) = ("", "", false)
        }
        var isEscaped = false
        for character in text {
            switch character {
            case _ where isEscaped:
                value.append(character)
                isEscaped = false
            case "\\" where isQuoted: isEscaped = true
            case "\"" where isValue: isQuoted.toggle()
            case ";" where !isQuoted: end()
            case "=" where !isValue: isValue = true
            default: if isValue { value.append(character) } else { key.append(character) }
            }
        }
        end()
        return fields
    }

    /// The position of a word of at most a hundred bytes; nil if it does not occur.
    private static func find(_ word: [UInt8], in text: [UInt8], from start: Int) -> Int? {
        text.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress, let first = word.first else { return nil }
            var at = start
            while at + word.count <= bytes.count {
                let rest = bytes.count - word.count - at + 1
                guard let found = memchr(base + at, Int32(first), rest) else { return nil }
                if memcmp(found, word, word.count) == 0 { return UnsafeRawPointer(found) - base }
                at = UnsafeRawPointer(found) - base + 1
            }
            return nil
        }
    }
}

extension StringProtocol {
    fileprivate func trimming() -> String {
        trimmingCharacters(in: .whitespaces)
    }
}
