/// The `traceparent` header (W3C Trace Context). Pure.
package enum TraceParent {
    /// The trace id in `00-ID-PARENT-FLAGS`.
    ///
    /// - Parameter header: value of the header
    /// - Returns: nil for any other format
    package static func id(_ header: String) -> String? {
        let parts = header.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count >= 4, parts.map(\.utf8.count).prefix(4) == [2, 32, 16, 2],
            parts[1].utf8.allSatisfy({
                (0x30...0x39).contains($0) || (0x61...0x66).contains($0)
            }), parts[1].contains(where: { $0 != "0" })
        else { return nil }
        return String(parts[1])
    }
}
