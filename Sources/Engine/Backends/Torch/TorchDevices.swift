import CTorch
import Foundation

/// The devices of this machine that an installed PyTorch can compute on.
package enum TorchDevices {
    /// An NVIDIA GPU, as its driver describes it.
    package struct GPU: Sendable {
        package let device: DeviceName
        /// As in "NVIDIA H100 80GB HBM3".
        package let name: String
        /// In bytes.
        package let freeMemory: Int, memory: Int

        package init(device: DeviceName, name: String, freeMemory: Int, memory: Int) {
            (self.device, self.name) = (device, name)
            (self.freeMemory, self.memory) = (freeMemory, memory)
        }
    }

    /// GPUs that one machine may have, at most.
    private static let most = 64

    /// The NVIDIA GPUs that the driver reports and CUDA may use; none without a driver.
    package static var gpus: [GPU] {
        var count = 0
        while count < most, gpu(.numbered(.cuda, count), driversNumber: count) != nil { count += 1 }
        let visible = visible(of: count, ProcessInfo.processInfo.environment[visibleVariable])
        return visible.enumerated().compactMap { index, number in
            gpu(.numbered(.cuda, index), driversNumber: number)
        }
    }

    private static let visibleVariable = "CUDA_VISIBLE_DEVICES"

    /// Numbers of the GPUs that CUDA may use, by the driver's count, in the order of CUDA's own numbers. Both count by place on
    /// the bus, as `tessera_torch_open` requests.
    ///
    /// - Parameters:
    ///   - count: GPUs of the machine
    ///   - variable: the value of `CUDA_VISIBLE_DEVICES`
    /// - Returns: none where the variable has unique identifiers instead of numbers
    package static func visible(of count: Int, _ variable: String?) -> [Int] {
        guard let variable else { return Array(0..<count) }
        let names = variable.split(separator: ",", omittingEmptySubsequences: false)
            .map { $0.filter { !$0.isWhitespace } }
        if names.contains(where: { $0.first?.isLetter == true }) { return [] }
        // The first number that is wrong ends the list.
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

    /// What a device is called, for people: "NVIDIA H100 80GB HBM3 (cuda:0, 85.5 GB)" if the driver knows the GPU, else its
    /// own name.
    package static func title(of device: DeviceName) -> String {
        title(of: device, gpus.first { $0.device == device })
    }

    /// The same of a GPU that is known.
    package static func title(of device: DeviceName, _ gpu: GPU?) -> String {
        guard let gpu else { return device.rawValue }
        return "\(gpu.name) (\(device), \(String(format: "%.1f", Double(gpu.memory) / 1e9)) GB)"
    }

    /// What the titles of all GPUs of one model have in common.
    ///
    /// - Parameter title: what a worker computes on, as `title(of:)` makes it, or the model of a processor
    /// - Returns: the GPU's name, else the kind of the device; nil for a processor
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

    /// Every GPU.
    ///
    /// - Parameter torch: the value of `--torch`
    /// - Returns: at least one
    /// - Throws: `InputError` if there is no PyTorch, it cannot be loaded, or it has no GPU that can be used
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
        // AMD's GPUs, and drivers without NVML.
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
