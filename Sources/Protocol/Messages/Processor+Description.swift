import Engine
import Foundation

/// How a worker describes its processor: pictures are byte-identical on equal processors.
extension Processor {
    /// Model name and the vector features that select kernels, as reported by Linux.
    package static let description: String = {
        let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        return describe(cpuinfo: text)
    }()

    /// The same, from the text of /proc/cpuinfo.
    package static func describe(cpuinfo: String) -> String {
        func field(_ name: String) -> String? {
            cpuinfo.split(separator: "\n").first { $0.hasPrefix(name) }
                .flatMap { $0.split(separator: ":", maxSplits: 1).last }
                .map { $0.trimmingCharacters(in: .whitespaces) }
        }
        let flags = Set((field("flags") ?? "").split(separator: " ").map(String.init))
        let features = ["avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16"].filter(flags.contains)
        return ([field("model name") ?? "unknown processor"] + features).joined(separator: " ")
    }
}
