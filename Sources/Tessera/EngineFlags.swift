import ArgumentParser
import Coordinator
import Engine
import Foundation

/// Flags for how networks are computed.
struct EngineFlags: ParsableArguments {
    @Option(help: "Numerical backend. (default: the best for the processor, see tessera doctor)")
    var backend: BackendKind?

    @Option(
        help:
            "Precision of the arithmetic. (default: the best for the processor; f32 with --inputs)"
    )
    var precision: Precision?

    @Option(
        help: ArgumentHelp(
            "Where PyTorch computes: cpu, cuda:0, mps; several with commas, or all, start a worker on each. Implies "
                + "--backend torch unless it is cpu. (default: cpu)",
            valueName: "device"
        )
    )
    var device: DeviceChoice?

    @Option(
        help: ArgumentHelp(
            "Folder of PyTorch 2.10 or newer, for --backend torch. (default: $TESSERA_TORCH, or that of python3)",
            valueName: "dir"
        ),
        completion: .directory
    )
    var torch: String?

    @Option(
        help: ArgumentHelp(
            "Views that a worker on PyTorch predicts together, 1 to \(BatchSizes.most); 1 makes a GPU's pictures "
                + "reproducible. (default: chosen by measurement on a GPU, otherwise 1)",
            valueName: "n"
        )
    )
    var batch: Int?

    mutating func validate() throws {
        if let batch, !(1...BatchSizes.most).contains(batch) {
            throw ValidationError("--batch must be from 1 to \(BatchSizes.most).")
        }
    }

    /// The selected devices, with `all` resolved; nil if none was selected.
    ///
    /// - Throws: `InputError` if PyTorch is needed to find them and cannot be loaded
    func devices() throws(InputError) -> [DeviceName]? {
        switch device {
        case nil: nil
        case .named(let devices): devices
        case .all: try TorchDevices.all(torch: torch)
        }
    }

    /// The only selected device.
    ///
    /// - Throws: `InputError` if several were selected
    func onlyDevice() throws(InputError) -> DeviceName? {
        guard let devices = try devices() else { return nil }
        guard devices.count == 1 else {
            throw InputError(
                "--device",
                "a worker computes on one device, not on \(devices.count)",
                fix: "Start a worker for each: \(devices.map(\.rawValue).joined(separator: ", "))"
            )
        }
        return devices[0]
    }

    /// The first selected device, on which the coordinator itself computes.
    private var first: DeviceName? {
        switch device {
        case .named(let devices): devices.first
        // `cuda:0`, unless there is no GPU.
        case .all: (try? devices())?.first
        case nil: nil
        }
    }

    /// The same flags for recorded inputs, whose results are compared with a reference: float32 unless a precision was
    /// given.
    func comparing(_ inputs: String?) -> EngineFlags {
        var flags = self
        if inputs != nil { flags.precision = precision ?? .f32 }
        return flags
    }

    func options(threads: Int) -> EngineOptions {
        EngineOptions.best(
            for: .current,
            backend: backend,
            precision: precision,
            device: first,
            torch: torch,
            threads: threads
        ).options
    }

    /// Options for prompt encoding: always float32, because it is done only once.
    private var conditioning: EngineOptions {
        EngineOptions.best(
            for: .current,
            backend: backend,
            precision: .f32,
            device: first,
            torch: torch,
            threads: 1
        ).options
    }

    /// Options for the coordinator's own computation, which uses all cores.
    var computation: Rendering.Computation {
        Rendering.Computation(
            conditioning: conditioning,
            globalPass: options(threads: HostCores.count)
        )
    }

    /// The same flags, to pass on to another command.
    var arguments: [String] {
        let flags: [(String, String?)] = [
            ("--backend", backend?.rawValue), ("--precision", precision?.rawValue),
            ("--device", device?.description), ("--torch", torch),
            ("--batch", batch.map(String.init)),
        ]
        return flags.flatMap { flag, value in value.map { [flag, $0] } ?? [] }
    }
}

/// The processors available to this process.
enum HostCores {
    static var count: Int { ProcessInfo.processInfo.activeProcessorCount }
}
