import Engine
import Foundation

/// The settings of a render as text for the PNG: one form that other tools read, and JSON.
package struct PictureText: Sendable {
    package let prompt: String
    package let negativePrompt: String?
    package let settings: RenderSettings
    package let model: String
    package let loras: [LoRASource]
    /// File and digest of the picture that it began with.
    package let picture: (name: String, digest: String)?
    package let digest: String
    package let phases: [Phase]
    package let stride: WindowStride
    package let version: String

    package init(
        prompt: String,
        negativePrompt: String?,
        plan: RenderPlan,
        model: String,
        loras: [LoRASource] = [],
        picture: (name: String, digest: String)? = nil,
        digest: String,
        version: String
    ) {
        self.prompt = prompt
        self.negativePrompt = negativePrompt
        settings = plan.settings
        self.model = model
        self.loras = loras
        self.picture = picture
        self.digest = digest
        phases = plan.phases.map(\.phase)
        stride = plan.settings.stride(for: plan.model)
        self.version = version
    }

    /// Keys and values of the PNG's text chunks.
    package var chunks: [(key: String, value: String)] {
        [
            ("parameters", parameters), ("tessera", json), ("Software", "Tessera \(version)"),
        ]
    }

    /// The line format in which Stable Diffusion web interfaces exchange settings.
    var parameters: String {
        var lines = [prompt]
        if let negativePrompt { lines.append("Negative prompt: \(negativePrompt)") }
        let method =
            settings.method.refinement.map {
                [
                    "Refine stride: \(stride)", "Refine ladder: \(list(scales, " "))",
                    "Refine from: \($0.from)", "Refine steps: \($0.steps)",
                    "Refine noise: \($0.noise)",
                ] + ($0.guidance.map { ["Refine guidance: \($0)"] } ?? [])
            } ?? [
                "DemoFusion stride: \(stride)", "DemoFusion ladder: \(list(scales, " "))",
                "DemoFusion cosine scales: \(list(settings.cosine.exponents, " "))",
                "DemoFusion sigma: \(settings.cosine.sigma)",
                "DemoFusion border: \(settings.border.rawValue)",
            ]
        let added = loras.map { "LoRA: \($0)" } + began
        let rare =
            (settings.windowWeight == .uniform || settings.method.refinement != nil
                ? [] : ["DemoFusion window weight: \(settings.windowWeight.rawValue)"])
            + (settings.skipBelow == 0 ? [] : ["DemoFusion skip below: \(settings.skipBelow)"])
        lines.append(
            ([
                "Steps: \(settings.steps)", "Sampler: \(samplerName)",
                "CFG scale: \(settings.guidance)", "Seed: \(settings.seed)",
                "Size: \(settings.size.width)x\(settings.size.height)",
                "Model hash: \(digest.prefix(10))", "Model: \(model)", "RNG: \(rngName)",
            ] + added + [
            ] + method + rare + ["Version: Tessera \(version)"]).joined(separator: ", ")
        )
        return lines.joined(separator: "\n")
    }

    /// Every setting, keyed by the command line's flags.
    package var json: String {
        var fields: [String: Any] = [
            "prompt": prompt, "size": "\(settings.size.width)x\(settings.size.height)",
            "steps": settings.steps, "guidance": Double(settings.guidance),
            "seed": "\(settings.seed)", "rng": settings.random.rawValue,
            "scheduler": settings.scheduler.rawValue, "karras": settings.karras,
            "stride": stride.asJSON, "cosine-scales": settings.cosine.exponents,
            "sigma": settings.cosine.sigma, "ladder": scales,
            "border": settings.border.rawValue, "model": model, "model-digest": digest,
            "version": version,
        ]
        if let refinement = settings.method.refinement {
            fields["method"] = settings.method.name
            fields["refine-from"] = refinement.from
            fields["refine-steps"] = refinement.steps
            fields["refine-noise"] = refinement.noise
            if let guidance = refinement.guidance { fields["refine-guidance"] = Double(guidance) }
        }
        if let negativePrompt { fields["negative-prompt"] = negativePrompt }
        if let picture, let start = settings.picture {
            fields["init-image"] = picture.name
            fields["init-image-digest"] = picture.digest
            fields["strength"] = start.strength
            fields["fidelity"] = start.fidelity
        }
        if settings.wire != .f32 { fields["wire"] = settings.wire.rawValue }
        if settings.windowWeight != .uniform {
            fields["window-weight"] = settings.windowWeight.rawValue
        }
        if settings.skipBelow > 0 { fields["skip-below"] = settings.skipBelow }
        if !loras.isEmpty { fields["lora"] = loras.map(\.description) }
        let options: JSONSerialization.WritingOptions = [.sortedKeys, .withoutEscapingSlashes]
        let data = try? JSONSerialization.data(withJSONObject: fields, options: options)
        return data.map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }

    private var began: [String] {
        guard let picture, let start = settings.picture else { return [] }
        return [
            "Denoising strength: \(start.strength)",
            "Init image hash: \(picture.digest.prefix(10))", "Fidelity: \(start.fidelity)",
        ]
    }

    private var scales: [Double] { phases.map(\.scale) }

    private func list(_ values: [Double], _ separator: String) -> String {
        values.map { $0 == $0.rounded() ? String(Int($0)) : String($0) }
            .joined(separator: separator)
    }

    private var rngName: String {
        switch settings.random {
        case .torch: "CPU"
        case .philox: "NV"
        }
    }

    private var samplerName: String {
        let name =
            switch settings.scheduler {
            case .ddim: "DDIM"
            case .euler: "Euler"
            case .eulerAncestral: "Euler a"
            case .dpmSolver: "DPM++ 2M"
            case .lcm: "LCM"
            }
        return settings.karras ? name + " Karras" : name
    }
}

extension WindowStride: CustomStringConvertible {
    /// As on the command line.
    package var description: String {
        switch self {
        case .every(let stride): "\(stride)"
        case .window: "window"
        }
    }

    fileprivate var asJSON: Any {
        switch self {
        case .every(let stride): stride
        case .window: description
        }
    }
}
