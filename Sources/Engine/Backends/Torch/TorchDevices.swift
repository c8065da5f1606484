import CTorch
import Foundation

/// The devices of this machine that an installed PyTorch can compute on.
package enum TorchDevices {
    /// An NVIDIA GPU as its driver describes it.
    package struct GPU: Sendable {
        package let device: DeviceName
        /// For example "NVIDIA H100 80GB HBM3".
        package let name: String
        /// Free and total memory in bytes.
        package let freeMemory: Int, memory: Int

        package init(device: DeviceName, name: String, freeMemory: Int, memory: Int) {
            (self.device, self.name) = (device, name)
            (self.freeMemory, self.memory) = (freeMemory, memory)
        }
    }

    /// Maximum number of GPUs in one machine.
    private static let most = 64

    /// The NVIDIA GPUs that the driver reports and that CUDA may use; empty without a driver.
    package static var gpus: [GPU] {
        var count = 0
        while count < most, gpu(.numbered(.cuda, count), driversNumber: count) != nil { count += 1 }
        let visible = visible(of: count, ProcessInfo.processInfo.environment[visibleVariable])
        return visible.enumerated().compactMap { index, number in
            gpu(.numbered(.cuda, index), driversNumber: number)
        }
    }

    private static let visibleVariable = "CUDA_VISIBLE_DEVICES"

    /// The driver's numbers of the GPUs that CUDA may use, in the order of CUDA's own numbers. Both count in PCI bus
    /// order, as `tessera_torch_open` requests.
    ///
    /// - Parameters:
    ///   - count: number of GPUs in the machine
    ///   - variable: the value of `CUDA_VISIBLE_DEVICES`
    /// - Returns: empty if the variable contains UUIDs instead of numbers
    package static func visible(of count: Int, _ variable: String?) -> [Int] {
        guard let variable else { return Array(0..<count) }
        let names = variable.split(separator: ",", omittingEmptySubsequences: false)
            .map { $0.filter { !$0.isWhitespace } }
        if names.contains(where: { $0.first?.isLetter == true }) { return [] }
        // The first invalid number ends the list.
        return Array(names.map { Int($0) ?? -1 }.prefix { (0..<count).contains($0) })
    }

    private static func gpu(_ device: DeviceName, driversNumber index: Int) -> GPU? {
        var name = [CChar](repeating: 0, count: 128)
        var (free, all): (UInt64, UInt64) = (0, 0)
        let size = name.count
        guard tessera_nvidia_gpu(Int32(index), &name, size, &free, &all) == 0 else { return nil }
        let text = String(
            decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) },
            as: UTF8.self
        )
        return GPU(
            device: device,
            name: text,
            freeMemory: Int(clamping: free),
            memory: Int(clamping: all)
        )
    }

    /// A readable name of a device: "NVIDIA H100 80GB HBM3 (cuda:0, 85.5 GB)" if the driver knows
    /// the GPU, else `device` itself.
    package static func title(of device: DeviceName) -> String {
        title(of: device, gpus.first { $0.device == device })
    }

    /// The same for a GPU that was already looked up.
    package static func title(of device: DeviceName, _ gpu: GPU?) -> String {
        guard let gpu else { return device.rawValue }
        return "\(gpu.name) (\(device), \(String(format: "%.1f", Double(gpu.memory) / 1e9)) GB)"
    }

    /// The part of a title that all GPUs of one model share.
    ///
    /// - Parameter title: a worker's device, as returned by `title(of:)`, or the model name of a processor
    /// - Returns: the GPU's name, else the kind of device; nil for a processor
    package static func model(ofTitle title: String) -> String? {
        if let device = DeviceName(rawValue: title) {
            return device.kind == .cpu ? nil : device.kind.rawValue
        }
        guard let start = title.range(of: " (", options: .backwards), title.hasSuffix(")") else {
            return nil
        }
        let name = title[start.upperBound...].prefix { $0 != "," && $0 != ")" }
        return DeviceName(rawValue: String(name)).map { _ in String(title[..<start.lowerBound]) }
    }

    /// All GPUs that can be used.
    ///
    /// - Parameter torch: the value of `--torch`
    /// - Returns: at least one device
    /// - Throws: `InputError` if PyTorch is missing or cannot be loaded, or has no GPU that can be used
    package static func all(torch: String?) throws(InputError) -> [DeviceName] {
        let installation = try TorchFinder().find(torch)
        var reason: String?
        var library: TorchLibrary?
        do throws(InputError) {
            library = try TorchLibrary.load(installation, for: .cuda)
        } catch {
            reason = error.problem
        }
        let reported = gpus.map(\.device)
        if library != nil, !reported.isEmpty { return reported }
        // For AMD's GPUs, and for drivers without NVML.
        if let library {
            let usable = (0..<most).map { DeviceName.numbered(.cuda, $0) }.prefix {
                (try? library.place(of: $0)) != nil
            }
            if !usable.isEmpty { return Array(usable) }
        }
        let plain = try TorchLibrary.load(installation, for: .cpu)
        for kind in [DeviceName.Kind.mps, .xpu] {
            let device = DeviceName.numbered(kind, 0)
            if (try? plain.place(of: device)) != nil { return [device] }
        }
        throw InputError(
            "--device all",
            "no GPU can be used" + (reason.map { ": \($0)" } ?? ""),
            fix: "See tessera doctor, or use --device cpu"
        )
    }
}
