import Engine
import Foundation
import Hummingbird

extension A1111API {
    /// Adds the list endpoints; lists of things that Tessera does not have are empty.
    func addLists(to group: RouterGroup<ServiceContext>) {
        list("samplers", group) {
            SchedulerKind.allCases.map { kind in
                .object([
                    "name": .string(kind.label), "aliases": .array([.string(kind.rawValue)]),
                    "options": .object([:]),
                ])
            }
        }
        list("schedulers", group) {
            A1111Names.schedulers.map { scheduler in
                .object([
                    "name": .string(scheduler.name), "label": .string(scheduler.label),
                    "aliases": .null, "default_rho": .number(-1),
                    "need_inner_model": .bool(false),
                ])
            }
        }
        list("sd-models", group) { [models = desk.resources.models] in
            models.entries.map { entry in
                .object([
                    "title": .string(entry.name), "model_name": .string(entry.name),
                    // Never reveal a path of the server.
                    "filename": .string(entry.name), "hash": .null, "sha256": .null,
                    "config": .null,
                ])
            }
        }
        list("loras", group) { [loras = desk.resources.loras] in
            loras.names.map { name in
                .object([
                    "name": .string(name), "alias": .string(name), "path": .string(name),
                    "metadata": .object([:]),
                ])
            }
        }
        list("upscalers", group) {
            ["None", "Tessera DemoFusion", A1111Request.refiner].map { name in
                .object([
                    "name": .string(name), "model_name": .null, "model_path": .null,
                    "model_url": .null, "scale": .number(4),
                ])
            }
        }
        list("latent-upscale-modes", group) { [.object(["name": .string("Latent")])] }
        for name in [
            "sd-vae", "hypernetworks", "face-restorers", "realesrgan-models", "prompt-styles",
            "script-info",
        ] { list(name, group) { [] } }
        object("embeddings", group) { ["loaded": .object([:]), "skipped": .object([:])] }
        object("scripts", group) { ["txt2img": .array([]), "img2img": .array([])] }
        object("cmd-flags", group) { [:] }
        object("memory", group) { Self.memory }
        for name in ["refresh-checkpoints", "refresh-vae", "refresh-loras"] {
            // Nothing to do: folders are read each time they are listed.
            group.post(RouterPath(name)) { _, context in
                try context.require(.read)
                return Response(json: .null)
            }
        }
    }

    private func list(
        _ name: String,
        _ group: RouterGroup<ServiceContext>,
        _ items: @escaping @Sendable () -> [JSON]
    ) {
        group.get(RouterPath(name)) { _, context in
            try context.require(.read)
            return Response(json: .array(try await Blocking.run { items() }))
        }
    }

    private func object(
        _ name: String,
        _ group: RouterGroup<ServiceContext>,
        _ members: @escaping @Sendable () -> [String: JSON]
    ) {
        group.get(RouterPath(name)) { _, context in
            try context.require(.read)
            return Response(json: .object(try await Blocking.run { members() }))
        }
    }

    /// Memory of this machine in bytes; workers compute elsewhere.
    private static var memory: [String: JSON] {
        var fields: [String: Double] = [:]
        let text = (try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8)) ?? ""
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count >= 2, let kilobytes = Double(words[1]) else { continue }
            fields[String(words[0])] = kilobytes * 1024
        }
        let (total, free) = (fields["MemTotal:"] ?? 0, fields["MemAvailable:"] ?? 0)
        return [
            "ram": .object([
                "free": .number(free), "used": .number(total - free), "total": .number(total),
            ]),
            "cuda": .object(["error": .string("workers compute")]),
        ]
    }
}
