import Engine
import Foundation
import Protocol

/// A coordinator that announces itself on this network segment (DNS-SD, RFC 6763). None of this is authenticated:
/// anybody on the segment can announce anything. Pure.
package struct LANService: Equatable, Sendable, Encodable {
    package var name: String
    /// Addresses of its host, without port.
    package var addresses: [String]
    package var port: UInt16
    /// The fingerprint of its key; empty if not announced.
    package var key: String
    package var model: String
    /// The protocol version; 0 if not announced.
    package var `protocol`: UInt32
    /// Tessera's version.
    package var version: String

    package init(
        name: String,
        addresses: [String] = [],
        port: UInt16,
        key: String,
        model: String,
        protocol: UInt32 = protocolVersion,
        version: String = tesseraVersion
    ) {
        (self.name, self.addresses, self.port) = (name, addresses, port)
        (self.key, self.model) = (key, model)
        (self.protocol, self.version) = (`protocol`, version)
    }

    package static let type = "_tessera._tcp"
    /// Maximum length of a service's name, in bytes.
    private static let maxName = 63
    private static let maxValue = 100

    /// `tcp://HOST:PORT` for each address.
    package var endpoints: [String] {
        addresses.map { "tcp://\($0.contains(":") ? "[\($0)]" : $0):\(port)" }
    }

    /// Arguments that make `avahi-publish` announce it.
    package var publishArguments: [String] {
        var name = name
        while name.utf8.count > Self.maxName { name.removeLast() }
        let facts = [
            "txtvers=1", "protocol=\(`protocol`)", "version=\(version)", "key=\(key)",
            "model=\(model)",
        ]
        return ["-s", name, Self.type, "\(port)"]
            + facts.map { String($0.unicodeScalars.prefix(Self.maxValue)) }
    }
}

extension LANService {
    /// Arguments that make `avahi-browse` list current announcements.
    package static let browseArguments = ["-p", "-r", "-t", "-k", type]

    /// Parses the output of `avahi-browse -p -r`: a line that starts with `=;` for each service, interface and family.
    /// Lines of the same service are merged; malformed lines are skipped.
    package static func services(_ lines: [String]) -> [LANService] {
        var found: [LANService] = []
        for service in lines.compactMap(LANService.init(line:)) {
            let known = found.firstIndex { other in
                var same = service
                same.addresses = other.addresses
                return same == other
            }
            guard let known else {
                found.append(service)
                continue
            }
            for address in service.addresses where !found[known].addresses.contains(address) {
                found[known].addresses.append(address)
            }
        }
        for place in found.indices { found[place].addresses.sort(by: isBefore) }
        return found.sorted { ($0.name, $0.port, $0.key) < ($1.name, $1.port, $1.key) }
    }

    /// Sorts loopback addresses last, and IPv4 before IPv6.
    private static func isBefore(_ a: String, _ b: String) -> Bool {
        func rank(_ address: String) -> Int {
            let isIPv6 = address.contains(":")
            let isLoopback = HostPort(isIPv6 ? "[\(address)]" : address)?.isLoopback ?? true
            return (isLoopback ? 2 : 0) + (isIPv6 ? 1 : 0)
        }
        return (rank(a), a) < (rank(b), b)
    }

    /// Parses `interface;family;name;type;domain;host;address;port;text`; only the last field may contain semicolons.
    private init?(line: String) {
        let fields = line.split(separator: ";", maxSplits: 9, omittingEmptySubsequences: false)
            .map(String.init)
        guard fields.count == 10, fields[0] == "=", fields[4] == Self.type,
            let port = UInt16(fields[8]), port > 0
        else { return nil }
        let facts = Self.facts(fields[9])
        self.init(
            name: printable(Self.unescaped(fields[3]), limit: Self.maxName),
            addresses: Self.isUsable(fields[7]) ? [fields[7]] : [],
            port: port,
            key: facts["key"] ?? "",
            model: facts["model"] ?? "",
            protocol: facts["protocol"].flatMap { UInt32($0) } ?? 0,
            version: facts["version"] ?? ""
        )
    }

    /// Whether it is a numeric address that can be connected to. IPv6 link-local addresses would also need an
    /// interface.
    private static func isUsable(_ address: String) -> Bool {
        let isIPv6 = address.contains(":")
        guard !isIPv6 || !address.lowercased().hasPrefix("fe80:"),
            let read = HostPort(isIPv6 ? "[\(address)]" : address)
        else { return false }
        return read.port == nil && (isIPv6 || address.allSatisfy { $0.isNumber || $0 == "." })
    }

    /// Decodes a name in which avahi has escaped bytes as `\034` and characters as `\;`.
    private static func unescaped(_ text: String) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\") else {
                bytes.append(byte)
                continue
            }
            let digits = String(decoding: rest.prefix(3), as: UTF8.self)
            if digits.utf8.count == 3, let value = UInt8(digits) {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else if let next = rest.popFirst() {
                bytes.append(next)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Parses `"key=value" "key=value"`, with quotes escaped by backslashes. The first value of a repeated key counts.
    private static func facts(_ text: String) -> [String: String] {
        var words: [String] = []
        var (word, isInside, isEscaped) = ("", false, false)
        for character in text {
            switch (character, isInside, isEscaped) {
            case ("\\", true, false):
                word.append(character)
                isEscaped = true
            case ("\"", _, false):
                if isInside { words.append(unescaped(word)) }
                (word, isInside) = ("", !isInside)
            case (_, true, _):
                word.append(character)
                isEscaped = false
            default: break
            }
        }
        let pairs = words.compactMap { word -> (String, String)? in
            guard let sign = word.firstIndex(of: "=") else { return nil }
            let value = printable(String(word[word.index(after: sign)...]), limit: maxValue)
            return (word[..<sign].lowercased(), value)
        }
        return Dictionary(pairs) { first, _ in first }
    }
}

extension LANService {
    /// The services as a table, with columns as wide as necessary.
    package static func table(_ services: [LANService]) -> [String] {
        let rows = services.map { service in
            [
                service.name, service.endpoints.joined(separator: " "), service.key,
                service.model, service.protocol > 0 ? "\(service.protocol)" : "", service.version,
            ].map { $0.isEmpty ? "-" : $0 }
        }
        return TextTable.lines([["NAME", "ADDRESS", "KEY", "MODEL", "PROTOCOL", "TESSERA"]] + rows)
    }
}
