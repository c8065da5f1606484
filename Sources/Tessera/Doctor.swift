import ArgumentParser
import Coordinator
import Engine
import Foundation
import Protocol

/// `tessera doctor`: what this machine supports, and what a render would use.
struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows what this machine supports, what a render would use, and why."
    )

    @OptionGroup var engine: EngineFlags

    @Flag(help: "Print one line of JSON.")
    var json = false

    /// Version and location of PyTorch.
    private var torch: String {
        do throws(InputError) {
            let found = try TorchFinder().find(engine.torch)
            _ = try TorchLibrary.load(found, for: .cpu)
            return "\(found.version ?? "of unknown version") in \(found.folder)"
        } catch {
            return "none: \(error.problem)"
        }
    }

    /// Devices for PyTorch: the processor, and the GPUs that the NVIDIA driver reports.
    private var devices: String {
        let gpus = TorchDevices.gpus.map { gpu in
            String(
                format: "%@ %@ (%.1f of %.1f GB free)",
                gpu.device.rawValue,
                gpu.name,
                Double(gpu.freeMemory) / 1e9,
                Double(gpu.memory) / 1e9
            )
        }
        let (others, trouble) = gpus.isEmpty ? unreportedGPUs : ([], nil)
        return (["cpu"] + gpus + others).joined(separator: ", ") + (trouble.map { "; \($0)" } ?? "")
    }

    /// GPUs that PyTorch can use although no NVIDIA driver reports them, or why a PyTorch built for GPUs finds none.
    private var unreportedGPUs: (names: [String], trouble: String?) {
        guard let found = try? TorchFinder().find(engine.torch) else { return ([], nil) }
        do throws(InputError) {
            return (try TorchDevices.all(torch: engine.torch).map(\.rawValue), nil)
        } catch {
            return ([], found.hasCUDA ? error.problem : nil)
        }
    }

    /// GPU device files of this system, which PyTorch may be able to use.
    private static var graphicsProcessors: String {
        let devices = (try? FileManager.default.contentsOfDirectory(atPath: "/dev")) ?? []
        let nodes = (try? FileManager.default.contentsOfDirectory(atPath: "/dev/dri")) ?? []
        let found =
            devices.filter { $0.wholeMatch(of: /nvidia[0-9]+|kfd/) != nil }
            + nodes.filter { $0.hasPrefix("renderD") }.map { "dri/\($0)" }
        let names = found.sorted().map { "/dev/\($0)" }.joined(separator: ", ")
        return names.isEmpty
            ? "none found"
            : "\(names): used with --device, by PyTorch"
    }

    func run() throws {
        try ExitStatus.reporting {
            let processor = Processor.current
            let chosen = EngineOptions.best(
                for: processor,
                backend: engine.backend,
                precision: engine.precision,
                device: try engine.devices()?.first,
                torch: engine.torch,
                threads: HostCores.count
            )
            try chosen.options.check()
            // A device counts as usable only if PyTorch accepts it.
            if chosen.options.backend == .torch { _ = try chosen.options.makeBackend() }
            let found = [
                ("tessera", RenderSession.version),
                ("cores", "\(HostCores.count)"),
                ("AVX2", processor.hasAVX2 ? "yes" : "no"),
                ("AVX-512", processor.hasAVX512 ? "yes" : "no"),
                ("bfloat16 products", processor.hasBFloat16 ? "yes" : "no"),
                (
                    "bfloat16 computed",
                    processor.multiplication == .widened ? "as float32" : "in pairs"
                ),
                ("oneDNN", "\(Processor.oneDNN.version), uses \(Processor.oneDNN.instructions)"),
                ("PyTorch", torch),
                ("devices", devices),
                ("ZeroMQ", SocketContext.libraryVersion),
                ("GPU", Self.graphicsProcessors),
                ("backend", chosen.options.backend.rawValue),
                ("precision", chosen.options.precision.rawValue),
                ("because", chosen.why),
            ]
            if json {
                // JSON keys in snake_case.
                let pairs = found.map {
                    ($0.0.lowercased().replacing(/[^a-z0-9]+/, with: "_"), $0.1)
                }
                return try StandardOutput.write(json: Dictionary(uniqueKeysWithValues: pairs))
            }
            try StandardOutput.write(lines: TextTable.lines(found.map { [$0.0, $0.1] }))
        }
    }
}
