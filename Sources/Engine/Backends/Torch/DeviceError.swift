/// The failure of an operation on a backend's device.
package struct DeviceError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Kind: Equatable, Sendable {
        /// Out of memory. Less work at a time may succeed.
        case outOfMemory
        /// Nothing can be computed on the device any more (driver reset, GPU lost, an earlier
        /// fault). A new process may work.
        case lost
        /// Any other failure.
        case failed
    }

    package let kind: Kind
    package let device: String
    /// The operation that failed.
    package let operation: String
    /// PyTorch's own message.
    package let message: String

    package init(kind: Kind, device: String, operation: String, message: String) {
        (self.kind, self.device) = (kind, device)
        (self.operation, self.message) = (operation, message)
    }

    /// Makes an error from PyTorch's message; the message determines the kind.
    package init(device: String, operation: String, message: String) {
        let lower = message.lowercased()
        let kind: Kind =
            Self.signsOfFullMemory.contains(where: lower.contains)
            ? .outOfMemory : Self.signsOfLoss.contains(where: lower.contains) ? .lost : .failed
        self.init(kind: kind, device: device, operation: operation, message: message)
    }

    private static let signsOfFullMemory = [
        "out of memory", "can't allocate memory", "not enough memory", "alloc_failed",
    ]
    private static let signsOfLoss = [
        "cuda error", "hip error", "device lost", "device-side", "gpu is lost", "driver shutting",
        "ecc error", "internal_error", "execution_failed", "xpu error", "acceleratorerror",
    ]

    package var description: String {
        let what =
            switch kind {
            case .outOfMemory: "\(device) does not have enough free memory for \(operation)"
            case .lost: "\(device) was lost during \(operation)"
            case .failed: "\(operation) failed on \(device)"
            }
        return oneLine("\(what): \(message)", limit: 700)
    }
}

/// Errors for memory that was too small despite all retries: what did not fit, and what would help.
extension DeviceError {
    /// The error for one view, `[1, height, width, channels]`.
    func atView(_ shape: [Int]) -> DeviceError {
        at(
            "one view of \(shape[2])×\(shape[1]) latent pixels",
            "a lower precision (--precision bf16 or f16)"
        )
    }

    /// The error for half of the autoencoder, and the shape of its input.
    func at(_ half: AutoencoderHalf, _ shape: [Int]) -> DeviceError {
        switch half {
        case .decoder:
            at(
                "the decoder on \(shape[2])×\(shape[1]) latent pixels",
                "a lower precision (--precision bf16)"
            )
        case .encoder:
            at(
                "the encoder on \(shape[2])×\(shape[1]) pixels",
                "a lower precision (--precision f16)"
            )
        }
    }

    /// The error for the weights of a layer, `[outputs, …]`; `areShort` if they take two bytes per element.
    func atWeights(_ shape: [Int], areShort: Bool) -> DeviceError {
        at(
            "weights of \(shape.map(String.init).joined(separator: "×")) numbers",
            areShort ? nil : "a lower precision (--precision bf16 or f16)"
        )
    }

    /// The error for a chunk of a prompt; the text encoders always run in float32.
    func atPrompt(tokens: Int) -> DeviceError {
        at(
            "the text encoders on \(tokens) tokens",
            device == "cpu" ? nil : "the processor for the coordinator (--device cpu,\(device))"
        )
    }

    private func at(_ work: String, _ remedy: String?) -> DeviceError {
        let remedies = [remedy, "fewer processes on the device", "or one with more memory"]
        return DeviceError(
            kind: kind,
            device: device,
            operation: "\(work) (\(operation))",
            message:
                "\(oneLine(message, limit: 300)). What helps: "
                + remedies.compactMap(\.self).joined(separator: ", ")
        )
    }
}
