import Engine
import Yams

/// The devices that a host's workers compute on.
extension ClusterFile.Host {
    /// Rejects settings that contradict each other, whatever processor the host has.
    ///
    /// - Parameter written: the fields of the host
    /// - Throws: `InputError` with the line of the backend field
    func refuseContradictions(_ written: FieldReader) throws(InputError) {
        guard let backend else { return }
        var fields = written
        let node = fields.take("backend")
        for device in devices.isEmpty ? [.processor] : devices {
            let options = EngineOptions(
                backend: backend,
                precision: precision ?? .f32,
                device: device,
                torch: torch
            )
            guard let contradiction = options.contradiction else { continue }
            throw fields.fault(
                "backend",
                node,
                "with \(contradiction.place.drop { $0 == "-" }): \(contradiction.problem)",
                fix: "Change one of the two, or remove backend: what suits the host is chosen then"
            )
        }
    }
}

extension ClusterFile {
    /// `device: cuda:0`, or `devices: [cuda:0, cuda:1]`.
    static func devices(_ fields: inout FieldReader) throws(InputError) -> [DeviceName] {
        func device(_ text: String, _ key: String, _ node: Node?) throws(InputError) -> DeviceName {
            guard let device = DeviceName(rawValue: text) else {
                throw fields.fault(
                    key,
                    node,
                    "'\(text)' is not a valid device",
                    fix: "Write cpu, cuda:0, cuda:1 … or mps"
                )
            }
            return device
        }
        let one = try fields.located("device")
        var found: [DeviceName] = []
        var before = fields
        let list = before.take("devices")
        for node in try fields.list("devices") {
            let device = try device(try fields.text(node, "devices"), "devices", node)
            guard !found.contains(device) else {
                throw fields.fault(
                    "devices",
                    node,
                    "\(device) is in the list already",
                    fix: "Write it once; workers: says how many workers share the devices"
                )
            }
            found.append(device)
        }
        if let list, found.isEmpty {
            throw fields.fault(
                "devices",
                list,
                "the list is empty",
                fix: "Write its devices, or remove the field to compute on the processor"
            )
        }
        guard let one else { return found }
        guard found.isEmpty else {
            throw fields.fault(
                "device",
                one.node,
                "devices is there, too",
                fix: "Write only one of them"
            )
        }
        return [try device(one.text, "device", one.node)]
    }
}
