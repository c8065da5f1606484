import Engine
import Foundation
import Sampling
import Synchronization

/// The options of A1111 that Tessera supports. Pure.
package struct A1111Options: Equatable, Sendable {
    /// Name of the model in the catalogue; nil for the default model.
    package var model: String?
    package var clipSkip: Int?
    package var format = JobRequest.Format.png
    package var random = RandomKind.philox

    package init() {}

    /// Applies the options in an object; unknown options are ignored.
    ///
    /// - Throws: `InputError` naming the option
    package mutating func merge(_ json: JSON) throws(InputError) {
        guard json != .null else { return }
        let fields = try A1111Fields(json)
        if let title = try fields.text("sd_model_checkpoint") {
            model = title.isEmpty ? nil : A1111Names.model(title)
        }
        if let skip = try fields.optionalInteger("CLIP_stop_at_last_layers", 1...32) {
            // 1 is A1111's default; here, nil stands for the model's own.
            clipSkip = skip == 1 ? nil : skip
        }
        switch try fields.text("samples_format")?.lowercased() {
        case nil: break
        case "png": format = .png
        case "jpg", "jpeg": format = .jpeg
        case "webp": format = .webp
        default: throw JobRequest.wrongType("samples_format", "png, jpg or webp")
        }
        switch try fields.text("randn_source") {
        case nil: break
        case "CPU": random = .torch
        // A1111 has a generator for each of two kinds of GPU; both give the numbers of Philox.
        case "GPU", "NV": random = .philox
        default: throw JobRequest.wrongType("randn_source", "CPU, GPU or NV")
        }
    }

    /// The options in A1111's format.
    ///
    /// - Parameter standard: name of the default model
    /// - Returns: all known options
    package func json(standard: String) -> JSON {
        .object([
            "sd_model_checkpoint": .string(model ?? standard),
            "CLIP_stop_at_last_layers": .count(clipSkip ?? 1),
            "samples_format": .string(format == .jpeg ? "jpg" : format.rawValue),
            "randn_source": .string(random == .torch ? "CPU" : "GPU"),
            "sd_vae": .string("Automatic"), "sd_checkpoint_hash": .string(""),
            "eta_noise_seed_delta": .number(0), "show_progress_every_n_steps": .number(-1),
        ])
    }
}

/// Names of things in A1111. Pure.
package enum A1111Names {
    struct Scheduler {
        let name: String
        let label: String
    }

    static let schedulers = [
        Scheduler(name: "automatic", label: "Automatic"),
        Scheduler(name: "uniform", label: "Uniform"), Scheduler(name: "karras", label: "Karras"),
        Scheduler(name: "exponential", label: "Exponential"),
        Scheduler(name: "sgm_uniform", label: "SGM Uniform"),
        Scheduler(name: "simple", label: "Simple"), Scheduler(name: "normal", label: "Normal"),
        Scheduler(name: "beta", label: "Beta"),
        Scheduler(name: "align_your_steps", label: "Align Your Steps"),
    ]

    /// The model's name from its title, `folder/name.safetensors [hash]`.
    package static func model(_ title: String) -> String {
        var name = title[...]
        if name.hasSuffix("]"), let open = name.range(of: " [", options: .backwards) {
            name = name[..<open.lowerBound]
        }
        if let slash = name.lastIndex(where: { $0 == "/" || $0 == "\\" }) {
            name = name[name.index(after: slash)...]
        }
        for ending in [".safetensors", ".ckpt"] where name.hasSuffix(ending) {
            name = name.dropLast(ending.count)
        }
        return String(name)
    }
}

/// Options and running requests of each user.
final class A1111Sessions: Sendable {
    /// A request whose pictures are being rendered.
    struct Batch: Sendable {
        let kind: String
        var jobs: [String]
        /// Number of its jobs that have ended.
        var ended = 0
        /// Start time in seconds since 1970.
        let start: Double
    }

    private struct State {
        var options: [String: A1111Options] = [:]
        var batches: [String: [Int: Batch]] = [:]
        var next = 0
    }

    private let state = Mutex(State())

    /// Maximum number of users whose options are remembered.
    private static let maxUsers = 10_000

    func options(of user: String) -> A1111Options {
        state.withLock { $0.options[user] ?? A1111Options() }
    }

    func set(_ options: A1111Options, of user: String) {
        state.withLock {
            if $0.options.count >= Self.maxUsers { $0.options.removeAll() }
            $0.options[user] = options
        }
    }

    /// Registers a request until `end` is called.
    func begin(_ batch: Batch, of user: String) -> Int {
        state.withLock {
            $0.next += 1
            $0.batches[user, default: [:]][$0.next] = batch
            return $0.next
        }
    }

    /// Counts another ended job of a request.
    func advance(_ number: Int, of user: String) {
        state.withLock { $0.batches[user]?[number]?.ended += 1 }
    }

    func end(_ number: Int, of user: String) {
        state.withLock {
            $0.batches[user]?[number] = nil
            if $0.batches[user]?.isEmpty == true { $0.batches[user] = nil }
        }
    }

    /// The user's unanswered requests, oldest first.
    func batches(of user: String) -> [Batch] {
        state.withLock { ($0.batches[user] ?? [:]).sorted { $0.key < $1.key }.map(\.value) }
    }
}
